package config

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	variable = `\$\{`
	length   = `(([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|ms|s|m|h|d|w))+`
)

// texts are the patterns of fields that are not any text.
var texts = map[string]string{
	"coherence": "^(watch|(watch|bounded):" + length + ")$|" + variable,
	"degraded":  "^(fail|miss|serve:" + length + ")$|" + variable,
}

type schema = map[string]any

// TestSchema makes schema.json of the structs and their comments. With
// CAIRN_UPDATE in the environment it is written anew.
func TestSchema(t *testing.T) {
	docs := comments(t, "../memo/region.go", "../memo/policy.go", "config.go")
	root := object(reflect.TypeFor[Config](), docs)
	properties := root["properties"].(schema)
	properties["$schema"] = schema{"type": "string", "description": "The schema of the file, for editors."}
	for field, ref := range map[string]string{"stores": "store", "regions": "region"} {
		properties[field] = schema{
			"description":          properties[field].(schema)["description"],
			"type":                 []string{"object", "null"},
			"propertyNames":        schema{"pattern": goodName.String()},
			"additionalProperties": schema{"$ref": "#/$defs/" + ref},
		}
	}
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://raw.githubusercontent.com/cairncache/cairn/main/config/schema.json"
	root["title"] = "Stores and regions of Cairn"
	root["required"] = []string{"stores"}
	root["$defs"] = schema{"store": object(storeType, docs), "region": object(regionType, docs)}
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "schema.json", string(text)+"\n")
}

// object is the schema of a struct.
func object(of reflect.Type, docs map[string]string) schema {
	properties := schema{}
	for _, f := range reflect.VisibleFields(of) {
		name := f.Tag.Get("json")
		if name == "" {
			continue
		}
		property := value(name, f.Type, of == regionType)
		doc := docs[of.Name()+"."+f.Name]
		if doc == "" && of == regionType {
			doc = docs["Policy."+f.Name]
		}
		if doc != "" {
			property["description"] = doc
		}
		properties[name] = property
	}
	return schema{"type": "object", "description": docs[of.Name()], "properties": properties, "additionalProperties": false}
}

// value is the schema of a field, whose text may be a variable.
func value(name string, t reflect.Type, off bool) schema {
	or := ""
	if off {
		or = "^off$|"
	}
	switch {
	case t == durationType:
		return schema{"type": "string", "pattern": or + "^" + length + "$|" + variable}
	case t.Kind() == reflect.Float64:
		return schema{"type": []string{"number", "string"}, "exclusiveMinimum": 0, "pattern": or + variable}
	case t.Kind() == reflect.Bool:
		return schema{"type": []string{"boolean", "string"}, "pattern": "^(on|off)$|" + variable}
	case t.Kind() == reflect.Slice:
		return schema{"type": "array", "minItems": 2, "items": schema{"type": "string"}}
	case texts[name] != "":
		return schema{"type": "string", "pattern": texts[name]}
	}
	return schema{"type": "string"}
}

// comments returns the first paragraphs of the comments on types and fields of
// files. A comment is for all fields up to the next blank line.
func comments(t *testing.T, files ...string) map[string]string {
	t.Helper()
	docs := make(map[string]string)
	set := token.NewFileSet()
	for _, name := range files {
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			d, ok := n.(*ast.GenDecl)
			if !ok || d.Tok != token.TYPE {
				return true
			}
			spec := d.Specs[0].(*ast.TypeSpec)
			s, ok := spec.Type.(*ast.StructType)
			if !ok {
				return true
			}
			docs[spec.Name.Name] = paragraph(d.Doc)
			shared, line := "", 0
			for _, f := range s.Fields.List {
				if set.Position(f.Pos()).Line != line+1 {
					shared = ""
				}
				line = set.Position(f.End()).Line
				if f.Doc != nil {
					shared = paragraph(f.Doc)
				}
				for _, ident := range f.Names {
					if doc := strings.TrimSpace(shared + paragraph(f.Comment)); doc != "" {
						docs[spec.Name.Name+"."+ident.Name] = doc
					}
				}
			}
			return false
		})
	}
	return docs
}

func paragraph(group *ast.CommentGroup) string {
	first, _, _ := strings.Cut(group.Text(), "\n\n")
	return strings.ReplaceAll(strings.TrimSpace(first), "\n", " ")
}

// What is right is right for the schema too, and much that is wrong is not.
func TestSchemaTakes(t *testing.T) {
	text, err := os.ReadFile("schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var root schema
	if err := json.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	wrong := []string{
		"wrong/camel_case.yaml", "wrong/coherence_word.yaml", "wrong/degraded_word.yaml", "wrong/layers_one.yaml",
		"wrong/layers_text.yaml", "wrong/lazy_text.yaml", "wrong/name_upper.yaml", "wrong/no_stores.yaml", "wrong/region_number.yaml",
		"wrong/region_percent.yaml", "wrong/root_list.yaml", "wrong/store_text.yaml", "wrong/stores_list.yaml",
		"wrong/ttl_bad_unit.yaml", "wrong/ttl_no_unit.yaml", "wrong/ttl_off.yaml", "wrong/unknown_store_field.yaml",
	}
	right, _ := filepath.Glob("testdata/right/*.yaml")
	for _, file := range append(right, wrong...) {
		isWrong := slices.Contains(wrong, file)
		data, err := os.ReadFile("testdata/" + strings.TrimPrefix(file, "testdata/"))
		if err != nil {
			t.Fatal(err)
		}
		var v any
		if err := yaml.Unmarshal(data, &v); err != nil && filepath.Base(file) != "no_name.yaml" { // which has tabs
			t.Fatal(err)
		} else if err != nil {
			continue
		}
		if problem := refusal(root, root, v); (problem != "") != isWrong {
			t.Errorf("%s: the schema says %q", file, problem)
		}
	}
}

// refusal says what a schema with the keywords of ours has against a value, or
// nothing.
func refusal(root, s schema, v any) string {
	if ref, ok := s["$ref"].(string); ok {
		return refusal(root, root["$defs"].(schema)[strings.TrimPrefix(ref, "#/$defs/")].(schema), v)
	}
	types, ok := s["type"].([]any)
	if !ok {
		types = []any{s["type"]}
	}
	if !slices.Contains(types, any(typeOf(v))) {
		return fmt.Sprintf("%v is not %v", v, types)
	}
	switch v := v.(type) {
	case string:
		if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(v) {
			return v + " does not match " + pattern
		}
	case []any:
		if least, ok := s["minItems"].(float64); ok && len(v) < int(least) {
			return "too few"
		}
	case schema:
		return refusalOfObject(root, s, v)
	}
	return ""
}

func refusalOfObject(root, s, v schema) string {
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			return fmt.Sprintf("%v is missing", name)
		}
	}
	for name, field := range v {
		names, _ := s["propertyNames"].(schema)
		properties, _ := s["properties"].(schema)
		of, ok := properties[name].(schema)
		if !ok {
			of, ok = s["additionalProperties"].(schema)
		}
		if !ok || names != nil && !regexp.MustCompile(names["pattern"].(string)).MatchString(name) {
			return name + " is not known"
		}
		if problem := refusal(root, of, field); problem != "" {
			return problem
		}
	}
	return ""
}

func typeOf(v any) string {
	switch v.(type) {
	case string:
		return "string"
	case bool:
		return "boolean"
	case int, float64:
		return "number"
	case []any:
		return "array"
	case nil:
		return "null"
	}
	return "object"
}
