// Go's net/http. See ../test_clients.py.
package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
)

func main() {
	rounds, _ := strconv.Atoi(os.Getenv("ROUNDS"))
	for round := 0; round < rounds; round++ {
		ask("PUT", "/enqueue?iterations=1", nil)
		ask("PUT", "/enqueue?iterations=1", strings.NewReader("x"))
		// A reader of unknown length is sent in chunks.
		ask("PUT", "/enqueue?iterations=1", io.MultiReader(bytes.NewReader(make([]byte, 300_000))))
		ask("PUT", "/enqueue?iterations=1", bytes.NewReader(make([]byte, 3_000_000)))
		job := ask("POST", "/jobs", strings.NewReader(`{"function": "noop"}`))
		ask("GET", "/jobs/"+strings.Split(job, `"`)[3], nil)
		ask("GET", "/jobs/nobody", nil)
		ask("POST", "/pullCompleted?top=1", nil)
	}
}

func ask(method, path string, body io.Reader) string {
	request, err := http.NewRequest(method, os.Getenv("URL")+path, body)
	check(err)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	check(err)
	text, err := io.ReadAll(response.Body)
	check(err)
	response.Body.Close()
	fmt.Println(response.StatusCode)
	return string(text)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
