// A TCP echo to begin from: go run echo.go PORT
// It works with telnet, and fails most checks.
package main

import (
	"net"
	"os"
)

func main() {
	listener, _ := net.Listen("tcp", "127.0.0.1:"+os.Args[1])
	for {
		conn, _ := listener.Accept()
		buffer := make([]byte, 1024)
		size, _ := conn.Read(buffer)
		conn.Write(buffer[:size])
		conn.Close()
	}
}
