package manifest

import (
	"errors"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// node is one YAML value with its place in the file and its path from the top.
type node struct {
	line, column int
	field        string
	kind         nodeKind
	text         string  // of text: the value; of a number: as it is written
	truth        bool    // of a boolean
	whole        int64   // of an integer
	items        []*node // of a list
	entries      []entry // of a mapping, in order, keys distinct
}

type entry struct {
	key   string
	at    *node // where the key stands
	value *node
}

type nodeKind uint8

const (
	nullNode nodeKind = iota
	boolNode
	integerNode
	numberNode // any number that is not an integer
	textNode
	listNode
	mappingNode
)

func (k nodeKind) String() string {
	return [...]string{"nothing", "true or false", "a number", "a number", "text", "a list", "a mapping"}[k]
}

// get returns the value of a key, or nil; also of a nil node or one that is no mapping.
func (n *node) get(key string) *node {
	if n == nil {
		return nil
	}
	for _, e := range n.entries {
		if e.key == key {
			return e.value
		}
	}
	return nil
}

// str returns the text of a key and its node, or "" and nil where there is no text there.
func (n *node) str(key string) (string, *node) {
	if v := n.get(key); v != nil && v.kind == textNode && v.text != "" {
		return v.text, v
	}
	return "", nil
}

// list returns the items of a node that is a list, else nothing.
func (n *node) list() []*node {
	if n == nil {
		return nil
	}
	return n.items
}

// maxDepth is far more than any manifest needs and bounds every recursion over one.
const maxDepth = 24

// parseYAML reads one YAML document. offset is added to every line number. It returns nil where
// the text is no YAML, or uses what a manifest may not use; the report then says so.
func parseYAML(r *report, source string, offset int) *node {
	c := converter{report: r, offset: offset}
	root := &node{line: offset, column: 1, kind: mappingNode}
	tokens := lexer.Tokenize(source)
	if !c.admit(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		c.syntax(root, err)
		return nil
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return root
	}
	n := c.convert(file.Docs[0].Body, "", 0)
	if n.kind == nullNode {
		return root
	}
	return n
}

type converter struct {
	report *report
	offset int
}

func (c converter) at(tk *token.Token, field string) *node {
	n := &node{line: c.offset, column: 1, field: field}
	if tk != nil && tk.Position != nil {
		n.line, n.column = tk.Position.Line+c.offset, max(1, tk.Position.Column)
	}
	return n
}

// admit refuses, token by token, the parts of YAML that make one text mean another (anchors,
// aliases, merge keys, tags, several documents) and nesting that no manifest has.
func (c converter) admit(tokens token.Tokens) bool {
	ok, depth, dashes := true, 0, 0
	for _, tk := range tokens {
		message, hint := "", ""
		switch tk.Type {
		case token.SequenceStartType, token.MappingStartType:
			depth++
		case token.SequenceEndType, token.MappingEndType:
			depth--
		default:
			message, hint = refused(tk.Type)
		}
		if dashes++; tk.Type != token.SequenceEntryType {
			dashes = 0
		}
		if depth > maxDepth || dashes > maxDepth {
			c.report.fail(c.at(tk, ""), "is nested too deeply", "")
			return false
		}
		if message != "" {
			c.report.fail(c.at(tk, ""), message, hint)
			ok = false
		}
	}
	return ok
}

func refused(t token.Type) (message, hint string) {
	switch t {
	case token.AnchorType:
		return "YAML anchors are not read", "quote a value that starts with &"
	case token.AliasType:
		return "YAML aliases are not read", "quote a value that starts with *"
	case token.MergeKeyType:
		return "YAML merge keys are not read", "use extends"
	case token.TagType:
		return "YAML tags are not read", "quote a value that starts with !"
	case token.DirectiveType:
		return "YAML directives are not read", "quote a value that starts with %"
	case token.MappingKeyType:
		return "complex YAML keys are not read", "quote a value that starts with ?"
	case token.DocumentHeaderType, token.DocumentEndType:
		return "there can be only one YAML document", ""
	}
	return "", ""
}

// syntax reports what the parser refused, without the excerpt: that may show a secret.
func (c converter) syntax(root *node, err error) {
	var placed interface {
		GetToken() *token.Token
		GetMessage() string
	}
	if errors.As(err, &placed) {
		hint := ""
		if strings.Contains(placed.GetMessage(), "\t") {
			hint = "indent with spaces"
		}
		c.report.fail(c.at(placed.GetToken(), ""), "is not YAML: "+printable(placed.GetMessage()), hint)
		return
	}
	c.report.fail(root, "is not YAML", "")
}

func (c converter) convert(from ast.Node, field string, depth int) *node {
	n := c.at(from.GetToken(), field)
	if depth > maxDepth {
		c.report.fail(n, "is nested too deeply", "")
		return n
	}
	switch v := from.(type) {
	case *ast.MappingNode:
		n.kind = mappingNode
		c.mapping(n, v.Values, depth)
	case *ast.MappingValueNode:
		n.kind = mappingNode
		c.mapping(n, []*ast.MappingValueNode{v}, depth)
	case *ast.SequenceNode:
		n.kind = listNode
		for i, item := range v.Values {
			n.items = append(n.items, c.convert(item, fmt.Sprintf("%s[%d]", field, i), depth+1))
		}
	case *ast.StringNode:
		n.kind, n.text = textNode, v.Value
	case *ast.LiteralNode:
		n.kind, n.text = textNode, v.Value.Value
	case *ast.BoolNode:
		n.kind, n.truth = boolNode, v.Value
	case *ast.IntegerNode:
		c.integer(n, v)
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		n.kind, n.text = numberNode, from.GetToken().Value
	case *ast.NullNode:
	default:
		c.report.fail(n, "is not something a manifest can hold", "")
	}
	return n
}

func (c converter) integer(n *node, v *ast.IntegerNode) {
	n.kind, n.text = integerNode, v.GetToken().Value
	switch i := v.Value.(type) {
	case int64:
		n.whole = i
	case uint64:
		n.whole = int64(min(i, 1<<62))
	default:
		n.kind = numberNode
	}
}

func (c converter) mapping(n *node, values []*ast.MappingValueNode, depth int) {
	seen := map[string]*node{}
	for _, v := range values {
		tk := v.Key.GetToken()
		key := tk.Value
		at := c.at(tk, joinField(n.field, key))
		if first := seen[key]; first != nil {
			c.report.fail(at, fmt.Sprintf("is already set on line %d", first.line), "")
			continue
		}
		seen[key] = at
		value := c.convert(v.Value, at.field, depth+1)
		if value.kind == nullNode {
			value.line, value.column = at.line, at.column
		}
		n.entries = append(n.entries, entry{key: key, at: at, value: value})
	}
	if len(n.entries) > 0 && n.entries[0].at.line < n.line {
		n.line, n.column = n.entries[0].at.line, n.entries[0].at.column
	}
}

// joinField appends a key to a path; a key that is not plain is quoted.
func joinField(field, key string) string {
	plain := strings.Trim(key, ".") != "" && len(key) <= 60 && !strings.ContainsFunc(key, func(r rune) bool {
		return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"\:`, r)
	})
	if !plain {
		key = shown(key)
	}
	if field == "" {
		return key
	}
	return field + "." + key
}
