package wire

import "strconv"

// The descriptors that a backend hands to `bot-bottle guest`.
//
// SetupFD is a packet socket to the owner; each message on it is one JSON value, and its end ends
// the bottle. SessionsFD is a listening unix socket for sessions. Descriptors that a Setup
// names follow them.
const (
	SetupFD    = 3
	SessionsFD = 4
	FirstFD    = 5
)

// What an engine's container has in the place of descriptors. Its guest's standard input and output
// carry streams (package wire/mux): on the first one owner and guest talk in Message frames, each
// other one is a session. The listeners go to the sidecar's container over HandoverSocket, once.
//
// Where the agent's kernel is not the engine's but gVisor, which has no netfilter and hands no
// descriptor out, a third container makes the network and the listeners: it runs in LinkMode, its
// first stream brings one Progress, and the agent's container joins its network.
const (
	// ProgramDir holds this program, and below it the handover, in both containers.
	ProgramDir     = "/.bot-bottle"
	Program        = ProgramDir + "/bot-bottle"
	HandoverDir    = ProgramDir + "/handover"
	HandoverSocket = HandoverDir + "/listeners"
	ContainerMode  = "container" // the first argument of both faces there
	LinkMode       = "link"      // the guest's, in the third container
	TrialMode      = "trial"     // the guest's, in a container that only tries a runtime

	// What a trial prints: that all held, before the kernel's release, or that this is no gVisor;
	// else why it did not hold.
	TrialHeld       = "held by "
	TrialOther      = "not gVisor: "
	SidecarAuditLog = ProgramDir + "/audit.jsonl"

	SidecarProposals = ProgramDir + "/proposals.jsonl"

	// GateDir is the run's own in the git gate's container, and GateMirrors holds the mirrors, each
	// in a directory with a number below GateSlots, as GateMirror names it. GateUser runs there.
	GateDir     = ProgramDir + "/gate"
	GateMirrors = ProgramDir + "/mirrors"
	GateSlots   = 64
	GateUser    = 65532
)

// GateMirror is where the mirror with this number is mounted.
func GateMirror(slot int) string { return GateMirrors + "/" + strconv.Itoa(slot) }

// MaxMessage bounds a message on SetupFD.
const MaxMessage = 192 << 10

// Setup is the owner's first message: what the bottle is made of. It is data, resolved on the
// host; the guest decides nothing.
type Setup struct {
	Hostname string `json:"hostname"`
	Trees    []Tree `json:"trees"`
	Links    []Link `json:"links"`
	Files    []File `json:"files"`
	Trust    Trust  `json:"trust"`
	Home     string `json:"home"`
	Hidden   []Path `json:"hidden"`
	Limits   Limits `json:"limits"`
	// UID and GID are whom the commands run as, where the guest is another; only in a container.
	UID int `json:"uid,omitempty"`
	GID int `json:"gid,omitempty"`
	// Linked: the network is the work of a LinkMode, and the kernel is gVisor's.
	Linked bool `json:"linked,omitempty"`
}

// Tree is a part of the host's file system, or a whole one, that is mounted at Target.
type Tree struct {
	FD       int    `json:"fd,omitempty"` // a detached tree; 0: the guest opens Source
	Source   string `json:"source"`
	Target   string `json:"target"`
	Dir      bool   `json:"dir,omitempty"`
	Writable bool   `json:"writable,omitempty"`
	Device   bool   `json:"device,omitempty"` // device nodes work in it
}

// Link is a symbolic link in the bottle.
type Link struct {
	Path string `json:"path"`
	To   string `json:"to"`
}

// File is a read-only file in the bottle.
type File struct {
	Path    string `json:"path"`
	Content string `json:"content"`
}

// Trust is the bundle of certificates that every path in Links leads to: the host's, which FD
// brings, and those of the Launch.
type Trust struct {
	FD   int    `json:"fd,omitempty"`
	Path string `json:"path"`
}

// Path is something of the host that must not be visible under its name. Device and Inode tell it
// from an unlike thing of the same name.
type Path struct {
	Name   string `json:"name"`
	Path   string `json:"path"`
	Device uint64 `json:"device,omitempty"`
	Inode  uint64 `json:"inode,omitempty"`
}

// Limits of every process in the bottle; 0 means none.
type Limits struct {
	Processes int `json:"processes"`
	OpenFiles int `json:"open_files"`
}

// Progress is the guest's answer to a Setup: the bottle stands, and the listeners that came with
// the message, in the order of Listeners. Problem is why it does not.
type Progress struct {
	Listeners []string `json:"listeners"`
	Problem   string   `json:"problem,omitempty"`
	// Denied marks a Problem that is a lack of permission in the namespace.
	Denied bool `json:"denied,omitempty"`
}

// Launch is the owner's second message: seal the bottle and prove it.
type Launch struct {
	Trust string `json:"trust,omitempty"` // PEM, appended to the bundle
}

// Report is the guest's answer to a Launch. Problem is set when the bottle could not be sealed.
type Report struct {
	Checks  []Check  `json:"checks"`
	Fences  []string `json:"fences"`
	Problem string   `json:"problem,omitempty"`
}

// Check is one attempt of the self-check.
type Check struct {
	Name string `json:"name"`
	Held bool   `json:"held"`
	How  string `json:"how"`
}
