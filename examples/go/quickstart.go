// libomen in one page of Go: open, insert, commit, get, search, compress, reopen, verify, delete. It prints
// examples/expected.txt. After make install:
//
//	go run quickstart.go /tmp/quickstart.omen
package main

// #cgo pkg-config: omen
// #include <stdlib.h>
// #include <omen.h>
import "C"

import (
	"fmt"
	"log"
	"os"
	"runtime"
	"unsafe"
)

const dim, n, k = 8, 10000, 3

// Each call returns a status. The last message has the details.
func must(status C.int32_t, what string) {
	if status != C.OMEN_OK {
		log.Fatalf("%s: %s: %s", what, C.GoString(C.omen_status_name(status)), C.GoString(C.omen_last_message()))
	}
}

func printNearest(store *C.omen_store, query []C.float) {
	var ids [k]C.uint64_t
	var distances [k]C.float
	must(C.omen_store_search(store, &query[0], 1, k, nil, &ids[0], &distances[0]), "search")
	fmt.Print("nearest:")
	for i := range ids {
		fmt.Printf(" %d at %.0f", ids[i], distances[i]) // squared distances, nearest first
	}
	fmt.Println()
}

func main() {
	runtime.LockOSThread() // omen_last_message belongs to the thread
	name := "quickstart.omen"
	if len(os.Args) > 1 {
		name = os.Args[1]
	}
	path := C.CString(name)
	defer C.free(unsafe.Pointer(path))

	vectors := make([]C.float, 0, n*dim)
	for i := 0; i < n; i++ {
		for j := 0; j < dim; j++ {
			vectors = append(vectors, C.float((i+1)*(i+j*j*997)%10007%100))
		}
	}

	var store *C.omen_store
	var first C.uint64_t
	must(C.omen_store_open(path, dim, nil, &store), "open")
	must(C.omen_store_insert(store, nil, &vectors[0], n, &first), "insert") // ids first, first + 1, ...
	must(C.omen_store_commit(store), "commit")                              // survives a crash from here on
	fmt.Printf("%d vectors of %d floats, ids %d to %d\n", n, dim, first, first+n-1)

	id := first + 42
	vector := make([]C.float, dim)
	must(C.omen_store_get(store, &id, 1, &vector[0], nil), "get")
	fmt.Printf("vector %d:", id)
	for _, component := range vector {
		fmt.Printf(" %g", component)
	}
	fmt.Println()
	printNearest(store, vector)

	var options C.omen_compress_options
	var compressed C.omen_compress_report
	C.omen_compress_options_init(&options)
	options.ratio = 4 // a quarter of the bytes, all files counted
	compressed.struct_size = C.uint64_t(unsafe.Sizeof(compressed))
	must(C.omen_store_compress(store, &options, &compressed), "compress")
	fmt.Printf("%d bytes as floats, %d compressed, relative error %.6f\n", len(vectors)*4, compressed.bytes_after,
		compressed.relative_mse)
	must(C.omen_store_close(store), "close") // commits too

	var verified C.omen_verify_report
	must(C.omen_store_open(path, 0, nil, &store), "open again") // 0: the dim of the store
	verified.struct_size = C.uint64_t(unsafe.Sizeof(verified))
	must(C.omen_store_verify(store, nil, &verified), "verify")
	fmt.Printf("reopened and verified: %d vectors\n", verified.vectors)
	printNearest(store, vector) // searches the codes

	var deleted C.uint64_t
	must(C.omen_store_delete(store, &id, 1, &deleted), "delete")
	status := C.omen_store_get(store, &id, 1, &vector[0], nil) // an error, as expected
	fmt.Printf("deleted %d, and get says %s\n", deleted, C.GoString(C.omen_status_name(status)))
	must(C.omen_store_close(store), "close")
}
