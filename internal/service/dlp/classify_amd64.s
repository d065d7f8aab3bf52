#include "textflag.h"

// func classifyAVX2(p *[64]byte, table *[256]uint8, out *[8]uint64)
//
// A shuffle looks sixteen entries up at once and gives nothing where an index has its highest bit set. So
// each sixteenth of the table is looked up with what is left of the bytes when its first index is taken
// away: saturated, that has the bit unless they lie in that sixteenth.
TEXT ·classifyAVX2(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	MOVQ table+8(FP), DX
	MOVQ out+16(FP), DI
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y3, Y3, Y3
	MOVL $0x70707070, AX
	VMOVQ AX, X6
	VPBROADCASTD X6, Y6
	MOVL $0x10101010, AX
	VMOVQ AX, X7
	VPBROADCASTD X7, Y7
	MOVQ $16, CX

sixteenth:
	VBROADCASTI128 (DX), Y8
	VPADDUSB Y6, Y0, Y4
	VPADDUSB Y6, Y1, Y5
	VPSHUFB Y4, Y8, Y4
	VPSHUFB Y5, Y8, Y5
	VPOR Y4, Y2, Y2
	VPOR Y5, Y3, Y3
	VPSUBB Y7, Y0, Y0
	VPSUBB Y7, Y1, Y1
	ADDQ $16, DX
	DECQ CX
	JNZ sixteenth

	MOVQ $56, CX

bit:
	VPMOVMSKB Y2, AX
	VPMOVMSKB Y3, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, (DI)(CX*1)
	VPADDB Y2, Y2, Y2
	VPADDB Y3, Y3, Y3
	SUBQ $8, CX
	JGE bit

	VZEROUPPER
	RET

// func runeMasksAVX2(p *[64]byte) (first, rest uint64)
//
// Bytes are compared as signed: those that go on, 0x80 to 0xbf, are the least, and those that begin lie
// between 0xc1 and 0xf5.
TEXT ·runeMasksAVX2(SB), NOSPLIT, $0-24
	MOVQ p+0(FP), SI
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1
	MOVL $0xc1c1c1c1, AX
	VMOVQ AX, X2
	VPBROADCASTD X2, Y2
	MOVL $0xf5f5f5f5, AX
	VMOVQ AX, X3
	VPBROADCASTD X3, Y3
	MOVL $0xc0c0c0c0, AX
	VMOVQ AX, X4
	VPBROADCASTD X4, Y4

	VPCMPGTB Y2, Y0, Y5
	VPCMPGTB Y0, Y3, Y6
	VPAND Y5, Y6, Y5
	VPMOVMSKB Y5, AX
	VPCMPGTB Y2, Y1, Y5
	VPCMPGTB Y1, Y3, Y6
	VPAND Y5, Y6, Y5
	VPMOVMSKB Y5, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, first+8(FP)

	VPCMPGTB Y0, Y4, Y5
	VPMOVMSKB Y5, AX
	VPCMPGTB Y1, Y4, Y5
	VPMOVMSKB Y5, BX
	SHLQ $32, BX
	ORQ BX, AX
	MOVQ AX, rest+16(FP)

	VZEROUPPER
	RET
