package wire

// What a Request asks for.
const (
	OpExec    = "exec"
	OpAttach  = "attach"
	OpSignal  = "signal"
	OpCopyIn  = "copy-in"
	OpCopyOut = "copy-out"
)

// Request opens a session.
type Request struct {
	Op     string   `json:"op"`
	Args   []string `json:"args,omitempty"`
	Env    []string `json:"env,omitempty"`
	Dir    string   `json:"dir,omitempty"`
	TTY    bool     `json:"tty,omitempty"`
	Rows   uint16   `json:"rows,omitempty"`
	Cols   uint16   `json:"cols,omitempty"`
	Agent  bool     `json:"agent,omitempty"`
	NoIn   bool     `json:"no_in,omitempty"`  // the command's input is empty
	Signal string   `json:"signal,omitempty"` // for OpSignal
	Path   string   `json:"path,omitempty"`   // for the copies
}

// Exit is how a command ended; Code is 128+n for a signal.
type Exit struct {
	Code   int    `json:"code"`
	Signal string `json:"signal,omitempty"`
}

// Kinds of failures.
const (
	FailInternal = "internal"
	FailInvalid  = "invalid"
	FailNotFound = "not found"
	FailBusy     = "busy"
	FailDenied   = "denied"
)

// Failure is an error on its way over the wire.
type Failure struct {
	Kind string `json:"kind"`
	Text string `json:"text"`
}

func (f *Failure) Error() string { return f.Text }

// Fail makes a Failure of the given kind.
func Fail(kind, text string) *Failure { return &Failure{Kind: kind, Text: text} }

// Input of a command flows by credit, so that a command that does not read never keeps a signal
// from arriving: a client has at most Window Stdin frames under way, of at most InputChunk bytes.
const (
	Window     = 8
	InputChunk = 32 << 10
)
