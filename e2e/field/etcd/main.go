//go:build field

// Command etcd runs a server of etcd, asks it by its client, and has it defragment its database.
package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/firsttouch/firsttouch/e2e/field/service"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
)

func main() { service.Main(service.Service{Prepare: prepare, Open: open}) }

const keys = 6000

// address is one that was free on loopback.
func address() (url.URL, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return url.URL{}, err
	}
	defer l.Close()
	return url.URL{Scheme: "http", Host: l.Addr().String()}, nil
}

type server struct {
	etcd   *embed.Etcd
	client *clientv3.Client
	at     string
}

func start(dir string) (*server, error) {
	c := embed.NewConfig()
	c.Dir, c.LogLevel, c.LogOutputs, c.UnsafeNoFsync = filepath.Join(dir, "etcd"), "error", []string{"stderr"}, true
	clients, err := address()
	if err != nil {
		return nil, err
	}
	peers, err := address()
	if err != nil {
		return nil, err
	}
	c.ListenClientUrls, c.AdvertiseClientUrls = []url.URL{clients}, []url.URL{clients}
	c.ListenPeerUrls, c.AdvertisePeerUrls = []url.URL{peers}, []url.URL{{Scheme: "http", Host: "127.0.0.1:2380"}}
	c.InitialCluster = c.InitialClusterFromName(c.Name)
	e, err := embed.StartEtcd(c)
	if err != nil {
		return nil, err
	}
	s := &server{etcd: e, at: clients.String()}
	select {
	case <-e.Server.ReadyNotify():
	case err := <-e.Err():
		return nil, err
	case <-time.After(time.Minute):
		return nil, fmt.Errorf("it is not ready after a minute")
	}
	s.client, err = clientv3.New(clientv3.Config{Endpoints: []string{s.at}})
	return s, err
}

func key(i int) string { return fmt.Sprintf("/registry/things/%05d", i) }

func prepare(dir string) error {
	s, err := start(dir)
	if err != nil {
		return err
	}
	for i := range keys {
		if _, err := s.client.Put(context.Background(), key(i), strings.Repeat(key(i), 60)); err != nil {
			return err
		}
	}
	// What is in the log only would be applied when it is started.
	if _, err := s.client.Compact(context.Background(), 2, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	return s.Close()
}

func open(dir string) (service.Instance, error) { return start(dir) }

func (s *server) Query(w io.Writer) error {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		from := r.IntN(keys)
		got, err := s.client.Get(context.Background(), key(from), clientv3.WithRange(key(from+3)))
		if err != nil {
			return err
		}
		for _, kv := range got.Kvs {
			fmt.Fprintf(w, "%s %s %d\n", kv.Key, kv.Value, kv.ModRevision)
		}
	}
	return nil
}

// Change writes a new database, which takes the old one's name.
func (s *server) Change() error {
	_, err := s.client.Defragment(context.Background(), s.at)
	return err
}

func (s *server) Close() error {
	err := s.client.Close()
	s.etcd.Close()
	return err
}
