// Go's net/http with a constant answer, on as many cores as it may use: constant PORT
package main

import (
	"log"
	"net/http"
	"os"
)

func main() {
	answer := []byte("ok\n")
	handler := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) })
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], handler))
}
