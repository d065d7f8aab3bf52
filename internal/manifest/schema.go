package manifest

import (
	"encoding/json"
	"fmt"
)

// Schema returns the JSON Schemas (draft 2020-12) of a bottle's and an agent's frontmatter. They
// come from the shapes that the decoder checks with; what needs more than a shape (a regular
// expression, a bottle's existence) only the decoder checks.
func Schema() (bottle, agent []byte) {
	return marshalSchema(bottleShape(), "bottle"), marshalSchema(agentShape(), "agent")
}

func marshalSchema(s *shape, title string) []byte {
	top := s.schema()
	top["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	top["title"] = "bot-bottle " + title
	out, err := json.MarshalIndent(top, "", "  ")
	if err != nil { // maps, slices and strings always marshal
		panic(fmt.Sprintf("cannot marshal the %s schema: %v", title, err))
	}
	return append(out, '\n')
}

func (s *shape) schema() map[string]any {
	out := map[string]any{}
	switch s.kind {
	case text:
		s.textSchema(out)
	case boolean:
		out["type"] = "boolean"
	case integer:
		out["type"], out["minimum"], out["maximum"] = "integer", s.min, s.max
	case list:
		s.listSchema(out)
	case dict:
		out["type"] = s.orNull("object")
		names := s.name.schema()
		delete(names, "type")
		if len(names) > 0 {
			out["propertyNames"] = names
		}
		out["additionalProperties"] = s.each.schema()
	case object:
		s.objectSchema(out)
	}
	if s.doc != "" {
		out["description"] = s.doc
	}
	return out
}

func (s *shape) orNull(kind string) any {
	if s.empty {
		return []string{kind, "null"}
	}
	return kind
}

func (s *shape) textSchema(out map[string]any) {
	out["type"] = "string"
	if s.numbers {
		out["type"] = []string{"string", "number"}
	}
	switch {
	case s.enum != nil:
		out["enum"] = s.enum
	case s.pattern != "":
		out["pattern"] = s.pattern
	}
	if !s.free && s.enum == nil {
		out["minLength"] = 1
	}
}

func (s *shape) listSchema(out map[string]any) {
	items := map[string]any{"type": s.orNull("array"), "items": s.each.schema()}
	if s.filled {
		items["minItems"] = 1
	}
	switch {
	case s.single:
		out["anyOf"] = []any{s.each.schema(), items}
	case s.off:
		out["anyOf"] = []any{map[string]any{"const": false}, items}
	default:
		for k, v := range items {
			out[k] = v
		}
	}
}

func (s *shape) objectSchema(out map[string]any) {
	properties := map[string]any{}
	var required []string
	for _, k := range s.keys {
		p := k.is.schema()
		if k.instead != "" {
			p["deprecated"] = true
		}
		if k.is.reserved {
			properties[k.name] = false
			continue
		}
		properties[k.name] = p
		if k.required {
			required = append(required, k.name)
		}
	}
	out["type"], out["properties"], out["additionalProperties"] = s.orNull("object"), properties, false
	if required != nil {
		out["required"] = required
	}
}
