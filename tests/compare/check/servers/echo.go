// A TCP echo that passes every check: go run echo.go PORT
//
// A goroutine for each peer, which reads again when all that came has been sent back.
package main

import (
	"fmt"
	"net"
	"os"
)

func echo(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 32*1024)
	for {
		size, err := conn.Read(buffer)
		if size > 0 {
			if _, failed := conn.Write(buffer[:size]); failed != nil {
				return
			}
		}
		if err != nil { // its end, or a reset
			return
		}
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err) // it names the port
		os.Exit(1)
	}
	for {
		conn, err := listener.Accept()
		if err == nil {
			go echo(conn)
		}
	}
}
