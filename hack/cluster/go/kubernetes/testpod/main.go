// Command testpod is the one program in the image of the cluster's own tests.
//
//	testpod serve           HTTP on :8080 answers with the host name, gRPC health on :8081
//	testpod lookup NAME     prints the addresses of NAME, one to a line
//	testpod get URL         prints what URL answers
//	testpod eat-memory      takes memory until it is stopped
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sort"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

const (
	chunkBytes = 1 << 20
	pageBytes  = 4096
	limit      = 5 * time.Second
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: testpod serve | lookup NAME | get URL | eat-memory")
	}
	var err error
	switch command := os.Args[1]; {
	case command == "serve":
		err = serve()
	case command == "lookup" && len(os.Args) == 3:
		err = lookup(os.Args[2])
	case command == "get" && len(os.Args) == 3:
		err = get(os.Args[2])
	case command == "eat-memory":
		eatMemory()
	default:
		err = fmt.Errorf("unknown arguments %q", os.Args[1:])
	}
	if err != nil {
		log.Fatal(err)
	}
}

func serve() error {
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", ":8081")
	if err != nil {
		return err
	}
	probes := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(probes, health.NewServer())
	failed := make(chan error, 2)
	go func() { failed <- probes.Serve(listener) }()
	answer := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, host) }
	go func() { failed <- http.ListenAndServe(":8080", http.HandlerFunc(answer)) }()
	fmt.Println("serving as", host)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	select {
	case err := <-failed:
		return err
	case <-ended:
		return nil
	}
}

func lookup(name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, name)
	if err != nil {
		return err
	}
	sort.Strings(addresses)
	for _, address := range addresses {
		fmt.Println(address)
	}
	return nil
}

func get(url string) error {
	client := http.Client{Timeout: limit}
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(os.Stdout, response.Body)
	return err
}

func eatMemory() {
	var held [][]byte
	for {
		chunk := make([]byte, chunkBytes)
		for i := 0; i < chunkBytes; i += pageBytes {
			chunk[i] = 1
		}
		held = append(held, chunk)
		time.Sleep(time.Millisecond)
	}
}
