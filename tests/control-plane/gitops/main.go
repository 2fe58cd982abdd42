// Judges objects the way Flux and Argo CD do, with what they judge with: kstatus and the health check expressions of Flux, and Lua
// as Argo CD runs it. It reads one question as JSON a line and answers each with JSON in a line.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/apis/kustomize"
	"github.com/fluxcd/pkg/runtime/cel"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type question struct {
	// kstatus, flux or lua.
	Ask    string                           `json:"ask"`
	Object unstructured.Unstructured        `json:"object"`
	Exprs  kustomize.HealthCheckExpressions `json:"exprs"`
	Script string                           `json:"script"`
}

type answer struct {
	Status  string `json:"status,omitempty"`
	Message string `json:"message,omitempty"`
	// What the Lua returned.
	Value any    `json:"value,omitempty"`
	Error string `json:"error,omitempty"`
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	out := bufio.NewWriter(os.Stdout)
	for lines.Scan() {
		given, err := judge(lines.Bytes())
		if err != nil {
			given = answer{Error: err.Error()}
		}
		text, err := json.Marshal(given)
		if err != nil {
			panic(err)
		}
		fmt.Fprintf(out, "%s\n", text)
		out.Flush()
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}

func judge(line []byte) (answer, error) {
	var asked question
	if err := json.Unmarshal(line, &asked); err != nil {
		return answer{}, err
	}
	switch asked.Ask {
	case "kstatus":
		result, err := status.Compute(&asked.Object)
		if err != nil {
			return answer{}, err
		}
		return answer{Status: result.Status.String(), Message: result.Message}, nil
	case "flux":
		evaluator, err := cel.NewStatusEvaluator(&asked.Exprs)
		if err != nil {
			return answer{}, err
		}
		result, err := evaluator.Evaluate(context.Background(), &asked.Object)
		if err != nil {
			return answer{}, err
		}
		return answer{Status: result.Status.String(), Message: result.Message}, nil
	case "lua":
		value, err := run(asked.Script, asked.Object.Object)
		return answer{Value: value}, err
	}
	return answer{}, fmt.Errorf("nothing is asked by %q", asked.Ask)
}

// Runs a script with what Argo CD gives it, which is argo-cd's util/lua: the object as obj, the libraries package, base and table,
// of the library os only time and date and only by require, no library for texts, and one second.
func run(script string, object map[string]any) (any, error) {
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	libraries := []struct {
		name string
		open lua.LGFunction
	}{{lua.LoadLibName, lua.OpenPackage}, {lua.BaseLibName, lua.OpenBase}, {lua.TabLibName, lua.OpenTable}}
	for _, library := range libraries {
		call := lua.P{Fn: state.NewFunction(library.open), Protect: true}
		if err := state.CallByParam(call, lua.LString(library.name)); err != nil {
			return nil, err
		}
	}
	state.PreloadModule(lua.OsLibName, openTime)
	deadline, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state.SetContext(deadline)
	state.SetGlobal("obj", toLua(state, object))
	if err := state.DoString(script); err != nil {
		return nil, err
	}
	returned, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return nil, fmt.Errorf("the script returns a %s and no table", state.Get(-1).Type())
	}
	return fromLua(returned, object)
}

// Opens what is safe of the library os.
func openTime(state *lua.LState) int {
	lua.OpenOs(state)
	whole := state.CheckTable(-1)
	state.SetGlobal(lua.OsLibName, lua.LNil)
	safe := state.NewTable()
	for _, name := range []string{"time", "date"} {
		safe.RawSetString(name, whole.RawGetString(name))
	}
	state.Push(safe)
	return 1
}

func toLua(state *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case bool:
		return lua.LBool(value)
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case []any:
		table := state.NewTable()
		for _, item := range value {
			table.Append(toLua(state, item))
		}
		return table
	case map[string]any:
		table := state.NewTable()
		for key, item := range value {
			table.RawSetString(key, toLua(state, item))
		}
		return table
	}
	return lua.LNil
}

// Lua does not tell an empty list from an empty object. Argo CD takes it for a list, unless it was an object before.
func fromLua(value lua.LValue, before any) (any, error) {
	switch value := value.(type) {
	case lua.LBool:
		return bool(value), nil
	case lua.LString:
		return string(value), nil
	case lua.LNumber:
		return float64(value), nil
	case *lua.LTable:
		was, _ := before.(map[string]any)
		if key, _ := value.Next(lua.LNil); key == lua.LNil {
			if was != nil {
				return was, nil
			}
			return []any{}, nil
		}
		var failed error
		if value.MaxN() > 0 {
			were, _ := before.([]any)
			list := []any{}
			value.ForEach(func(key, item lua.LValue) {
				var was any
				if len(list) < len(were) {
					was = were[len(list)]
				}
				plain, err := fromLua(item, was)
				if _, ok := key.(lua.LNumber); !ok {
					err = fmt.Errorf("a list has the key %s", key)
				}
				if err != nil {
					failed = err
				}
				list = append(list, plain)
			})
			return list, failed
		}
		object := map[string]any{}
		value.ForEach(func(key, item lua.LValue) {
			plain, err := fromLua(item, was[key.String()])
			if err != nil {
				failed = err
			}
			object[key.String()] = plain
		})
		return object, failed
	}
	return nil, fmt.Errorf("JSON has no %s", value.Type())
}
