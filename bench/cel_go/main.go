// SPDX-License-Identifier: Apache-2.0

// The same as bench/cel.c, by cel-go: main SECONDS prints one line of JSON.
package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
)

const (
	expression = `a.b > 3 && c in ["x","y"]`
	inputs     = 1024
	batch      = 4096
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "cel-go:", err)
		os.Exit(1)
	}
}

func main() {
	seconds, err := strconv.ParseFloat(os.Args[1], 64)
	check(err)
	env, err := cel.NewEnv(
		cel.Variable("a", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("c", cel.StringType))
	check(err)
	ast, issues := env.Compile(expression)
	check(issues.Err())
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(1000000))
	check(err)
	words := []string{"x", "y", "z"}
	data := make([]map[string]any, inputs)
	for i := range data {
		a := map[string]any{"name": fmt.Sprint("n", i), "b": int64(i % 16)}
		data[i] = map[string]any{"id": int64(i), "a": a, "c": words[i%3]}
	}
	evals, holds := 0, 0
	begun := time.Now()
	for time.Since(begun).Seconds() < seconds {
		for i := 0; i < batch; i++ {
			value, _, err := program.Eval(data[evals%inputs])
			check(err)
			if value == types.True {
				holds++
			}
			evals++
		}
	}
	fmt.Printf("{\"evals_per_s\": %.0f, \"true_share\": %.3f}\n",
		float64(evals)/time.Since(begun).Seconds(), float64(holds)/float64(evals))
}
