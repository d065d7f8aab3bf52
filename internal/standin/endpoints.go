package standin

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// Echo answers:
//
//	/status/CODE       that status
//	/sse?n=N           N server-sent events, each flushed by itself; the next one is sent when
//	                   the client has had Gap milliseconds (gap=MS, default 0)
//	/hold              one event, then an open stream until the client leaves
//	/ws                a WebSocket that returns each message as it came
//	/bytes/N           a body of N bytes, chunked
//	/sink              reads the body, answers {"received": N}
//	/redirect?to=URL   302
//	/trailers          a body followed by a trailer
//	anything else      the request as JSON: method, host, uri, proto, headers, body
func Echo() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/status/{code}", status)
	mux.HandleFunc("/sse", events)
	mux.HandleFunc("/hold", hold)
	mux.HandleFunc("/ws", webSocket)
	mux.HandleFunc("/bytes/{n}", stream)
	mux.HandleFunc("/sink", sink)
	mux.HandleFunc("/redirect", redirect)
	mux.HandleFunc("/trailers", trailers)
	mux.HandleFunc("/", mirror)
	// Not through ServeMux alone: it would redirect paths that it finds unclean, and tests want
	// to see what arrived.
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			mirror(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// JSON answers every request with the same document, after reading its body.
func JSON(document string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, document)
	})
}

// Mirrored is what Echo answers about a request.
type Mirrored struct {
	Method string              `json:"method"`
	Host   string              `json:"host"`
	URI    string              `json:"uri"`
	Proto  string              `json:"proto"`
	Header map[string][]string `json:"header"`
	Body   string              `json:"body"`
}

func mirror(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusOK, Mirrored{
		Method: r.Method, Host: r.Host, URI: r.RequestURI, Proto: r.Proto, Header: r.Header, Body: string(body),
	})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client has gone; nothing is left to tell it
}

func status(w http.ResponseWriter, r *http.Request) {
	code, err := strconv.Atoi(r.PathValue("code"))
	if err != nil || code < 200 || code > 599 {
		code = http.StatusBadRequest
	}
	w.WriteHeader(code)
}

func events(w http.ResponseWriter, r *http.Request) {
	n := number(r, "n", 3)
	gap := time.Duration(number(r, "gap", 0)) * time.Millisecond
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range n {
		_, _ = fmt.Fprintf(w, "event: tick\ndata: %d\n\n", i)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-time.After(gap):
		case <-r.Context().Done():
			return
		}
	}
}

func hold(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = io.WriteString(w, "data: open\n\n")
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func number(r *http.Request, name string, fallback int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 0 {
		return fallback
	}
	return n
}

func webSocket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{
		InsecureSkipVerify: true, // any Origin: whoever reaches a stand-in may use it
		CompressionMode:    websocket.CompressionContextTakeover,
	})
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = conn.CloseNow() }()
	conn.SetReadLimit(64 << 20)
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if err := conn.Write(r.Context(), kind, message); err != nil {
			return
		}
	}
}

func stream(w http.ResponseWriter, r *http.Request) {
	left, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
	if err != nil || left < 0 {
		http.Error(w, "want /bytes/N", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	chunk := make([]byte, 64<<10)
	for i := range chunk {
		chunk[i] = "0123456789abcdef"[i%16]
	}
	for left > 0 {
		n, err := w.Write(chunk[:min(left, int64(len(chunk)))])
		if err != nil {
			return
		}
		left -= int64(n)
	}
}

func sink(w http.ResponseWriter, r *http.Request) {
	n, err := io.Copy(io.Discard, r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, http.StatusOK, map[string]int64{"received": n})
}

func redirect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", r.URL.Query().Get("to"))
	w.WriteHeader(http.StatusFound)
}

func trailers(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-After")
	_, _ = io.WriteString(w, "body")
	w.Header().Set("X-After", "trailer")
}
