// Drives nats.go, the Go client of NATS, for the interop tests.
//
// Usage: nats-go-client URL SCENARIO. Prints one line per observation; the tests compare them.
package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

const patience = 10 * time.Second

func main() {
	if len(os.Args) != 3 {
		fail("usage: nats-go-client URL SCENARIO")
	}
	scenarios := map[string]func(*nats.Conn) error{
		"request":       request,
		"queue":         queue,
		"no-responders": noResponders,
		"headers":       headers,
		"unsub-after":   unsubAfter,
		"max-payload":   maxPayload,
		"drain":         drain,
	}
	scenario, known := scenarios[os.Args[2]]
	if !known {
		fail("unknown scenario " + os.Args[2])
	}
	connection, err := nats.Connect(os.Args[1], nats.Timeout(patience), nats.NoReconnect())
	if err != nil {
		fail("connect: " + err.Error())
	}
	defer connection.Close()
	if err := scenario(connection); err != nil {
		fail(err.Error())
	}
}

func fail(text string) {
	fmt.Fprintln(os.Stderr, text)
	os.Exit(1)
}

// fresh gives a subject that no other run uses.
func fresh() string {
	return "go." + strings.TrimPrefix(nats.NewInbox(), nats.InboxPrefix)
}

func request(connection *nats.Conn) error {
	subject := fresh()
	_, err := connection.Subscribe(subject, func(message *nats.Msg) {
		_ = message.Respond([]byte("re: " + string(message.Data)))
	})
	if err != nil {
		return err
	}
	answer, err := connection.Request(subject, []byte("ping"), patience)
	if err != nil {
		return err
	}
	fmt.Println(string(answer.Data))
	return nil
}

func queue(connection *nats.Conn) error {
	const messages = 300
	subject := fresh()
	var wait sync.WaitGroup
	var lock sync.Mutex
	counts := map[int]int{}
	wait.Add(messages)
	for member := 0; member < 3; member++ {
		_, err := connection.QueueSubscribe(subject, "workers", func(*nats.Msg) {
			lock.Lock()
			counts[member]++
			lock.Unlock()
			wait.Done()
		})
		if err != nil {
			return err
		}
	}
	for i := 0; i < messages; i++ {
		if err := connection.Publish(subject, nil); err != nil {
			return err
		}
	}
	wait.Wait()
	// A second copy would arrive before the answer to this.
	if err := connection.FlushTimeout(patience); err != nil {
		return err
	}
	lock.Lock()
	defer lock.Unlock()
	total := 0
	for _, count := range counts {
		total += count
	}
	fmt.Printf("total %d members %d\n", total, len(counts))
	return nil
}

func noResponders(connection *nats.Conn) error {
	_, err := connection.Request(fresh(), nil, patience)
	if !errors.Is(err, nats.ErrNoResponders) {
		return fmt.Errorf("expected no responders, got %v", err)
	}
	fmt.Println("no responders")
	return nil
}

func headers(connection *nats.Conn) error {
	subscription, err := connection.SubscribeSync(fresh())
	if err != nil {
		return err
	}
	message := nats.NewMsg(subscription.Subject)
	message.Header.Add("Colour", "red")
	message.Header.Add("Colour", "blue")
	message.Header.Add("lower", "kept")
	message.Data = []byte("body")
	if err := connection.PublishMsg(message); err != nil {
		return err
	}
	got, err := subscription.NextMsg(patience)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(got.Header.Values("Colour"), ","), got.Header.Get("lower"), string(got.Data))
	return nil
}

func unsubAfter(connection *nats.Conn) error {
	subject := fresh()
	subscription, err := connection.SubscribeSync(subject)
	if err != nil {
		return err
	}
	if err := subscription.AutoUnsubscribe(3); err != nil {
		return err
	}
	for i := 0; i < 10; i++ {
		if err := connection.Publish(subject, nil); err != nil {
			return err
		}
	}
	if err := connection.FlushTimeout(patience); err != nil {
		return err
	}
	received := 0
	for {
		if _, err := subscription.NextMsg(patience); err != nil {
			if !errors.Is(err, nats.ErrMaxMessages) && !errors.Is(err, nats.ErrBadSubscription) {
				return err
			}
			break
		}
		received++
	}
	fmt.Println("received", received)
	return nil
}

func maxPayload(connection *nats.Conn) error {
	subject := fresh()
	subscription, err := connection.SubscribeSync(subject)
	if err != nil {
		return err
	}
	if err := connection.Publish(subject, make([]byte, connection.MaxPayload())); err != nil {
		return err
	}
	got, err := subscription.NextMsg(patience)
	if err != nil {
		return err
	}
	err = connection.Publish(subject, make([]byte, connection.MaxPayload()+1))
	if !errors.Is(err, nats.ErrMaxPayload) {
		return fmt.Errorf("expected the payload to be refused, got %v", err)
	}
	fmt.Println("largest", len(got.Data))
	return nil
}

func drain(connection *nats.Conn) error {
	const messages = 1000
	subject := fresh()
	received := make(chan struct{}, messages)
	_, err := connection.Subscribe(subject, func(*nats.Msg) { received <- struct{}{} })
	if err != nil {
		return err
	}
	for i := 0; i < messages; i++ {
		if err := connection.Publish(subject, []byte("x")); err != nil {
			return err
		}
	}
	closed := make(chan struct{})
	connection.SetClosedHandler(func(*nats.Conn) { close(closed) })
	if err := connection.Drain(); err != nil {
		return err
	}
	select {
	case <-closed:
	case <-time.After(patience):
		return errors.New("the connection did not drain")
	}
	fmt.Println("received", len(received))
	return nil
}
