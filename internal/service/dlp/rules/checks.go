package rules

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
)

func jwt(token []byte) bool {
	head, _, _ := bytes.Cut(token, []byte{'.'})
	raw, err := base64.RawURLEncoding.DecodeString(string(head))
	var fields map[string]any
	return err == nil && json.Unmarshal(raw, &fields) == nil && fields["alg"] != nil
}

func realPassword(p []byte) bool {
	switch string(bytes.ToLower(p)) {
	case "password", "passwd", "secret", "postgres", "mysecretpassword", "username", "hunter2", "foobar", "correct":
		return false
	}
	return !bytes.ContainsAny(p, "${}<>[]%*") && !bytes.HasPrefix(bytes.ToLower(p), []byte("pass"))
}

// opaque is a bearer's value that mixes letters and digits.
func opaque(p []byte) bool {
	digits, letters := 0, 0
	for _, b := range p {
		switch {
		case b >= '0' && b <= '9':
			digits++
		case b|0x20 >= 'a' && b|0x20 <= 'z':
			letters++
		}
	}
	return digits >= 3 && letters >= 3
}

// userAndPassword is what a registry's login looks like in a file: base64 of user:password.
func userAndPassword(p []byte) bool {
	raw, err := base64.StdEncoding.DecodeString(string(p))
	if err != nil {
		return false
	}
	user, password, ok := bytes.Cut(raw, []byte{':'})
	for _, b := range raw {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return ok && len(user) > 0 && len(password) >= 6 && realPassword(password)
}

// cardNumber is a number of one of the big issuers' ranges and its length, with the check digit
// of ISO/IEC 7812-1 annex B.
func cardNumber(p []byte) bool {
	var digits []int
	for _, b := range p {
		if b >= '0' && b <= '9' {
			digits = append(digits, int(b-'0'))
		}
	}
	if !issued(digits) {
		return false
	}
	sum := 0
	for i, d := range digits {
		if (len(digits)-i)%2 == 0 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// issued reports whether a number begins as an issuer's and is as long as theirs.
func issued(digits []int) bool {
	n := len(digits)
	if n < 13 || n > 19 {
		return false
	}
	six := 0
	for _, d := range digits[:6] {
		six = six*10 + d
	}
	in := func(lo, hi int) bool { return six >= lo && six <= hi }
	switch {
	case in(400000, 499999): // Visa
		return n == 13 || n == 16 || n == 19
	case in(510000, 559999), in(222100, 272099): // Mastercard
		return n == 16
	case in(340000, 349999), in(370000, 379999): // American Express
		return n == 15
	case in(300000, 305999), in(360000, 369999), in(380000, 399999): // Diners Club
		return n == 14 || n == 16 || n == 19
	case in(601100, 601199), in(644000, 659999), in(352800, 358999): // Discover, JCB
		return n >= 16
	case in(620000, 629999), in(810000, 817199): // UnionPay
		return n >= 16
	case in(500000, 509999), in(560000, 589999), in(600000, 699999): // Maestro
		return n >= 13 && n != 14
	case in(220000, 220499): // Mir
		return n >= 16
	}
	return false
}

// iban is ISO 13616: a country's length, and the number, its first four characters moved to the
// end, is 1 modulo 97.
func iban(p []byte) bool {
	p = bytes.ToUpper(bytes.ReplaceAll(p, []byte{' '}, nil))
	n := ibanLength(string(p[:2]))
	if n == 0 || len(p) < n {
		return false
	}
	mod := 0
	for _, b := range append(append([]byte{}, p[4:n]...), p[:4]...) {
		if b >= 'A' {
			mod = (mod*100 + int(b-'A') + 10) % 97
		} else {
			mod = (mod*10 + int(b-'0')) % 97
		}
	}
	return mod == 1
}

// ibanLength is that of the SWIFT registry's country, or 0.
func ibanLength(country string) int {
	const lengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24FI18FK18FO18FR27" +
		"GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19" +
		"MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"
	for i := 0; i+4 <= len(lengths); i += 4 {
		if lengths[i:i+2] == country {
			return int(lengths[i+2]-'0')*10 + int(lengths[i+3]-'0')
		}
	}
	return 0
}
