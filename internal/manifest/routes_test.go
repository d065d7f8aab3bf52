package manifest

import (
	"strings"
	"testing"
)

func TestRoutesAreReadInEveryShortForm(t *testing.T) {
	for _, text := range []string{
		"host: a.example\nports: [8443]\n",
		"- host: a.example\n  ports: [8443]\n",
		"routes:\n  - {host: A.example, ports: [8443]}\n",
		"egress:\n  routes:\n    - host: a.example\n      ports: [8443]\n",
	} {
		routes, _, err := ReadRoutes("stdin", []byte(text))
		if err != nil || len(routes) != 1 || routes[0].Host != "a.example" || routes[0].Ports[0] != 8443 {
			t.Errorf("%q: %+v, %v", text, routes, err)
		}
	}
}

func TestRoutesAreReadStrictly(t *testing.T) {
	for text, says := range map[string]string{
		"":                               "holds no route",
		"[]\n":                           "",
		"just text\n":                    "mapping",
		"- just text\n":                  "mapping",
		"- host: a.example\n  port: 1\n": "port",
		"- host: a..example\n":           "host",
		"- {host: a.example}\n- {host: A.example}\n":         "already has a route",
		"egress: {log: full, routes: [{host: a.example}]}\n": "is no route",
		"env: {A: b}\n":            "env",
		"- &a {host: a.example}\n": "anchors",
	} {
		routes, _, err := ReadRoutes("stdin", []byte(text))
		if says == "" {
			if err != nil || len(routes) != 0 {
				t.Errorf("%q: %v %v", text, routes, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), says) || !strings.HasPrefix(err.Error(), "stdin:") && !strings.Contains(err.Error(), "\n  stdin:") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzReadRoutes(f *testing.F) {
	f.Add([]byte("- host: a.example\n  matches: [{paths: [{type: prefix, value: /a}]}]\n"))
	f.Add([]byte("egress: {routes: [{host: '*.a.example', git: fetch}]}"))
	f.Fuzz(func(t *testing.T, text []byte) {
		routes, _, err := ReadRoutes("stdin", text)
		if err != nil && len(routes) > 0 {
			t.Error("routes came with an error")
		}
	})
}
