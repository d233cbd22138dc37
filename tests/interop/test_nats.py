"""Core NATS with nats-py, the Go client and single lines on a bare socket."""

import json
import socket
import subprocess

import nats.errors
import pytest

from harness.kafka import cache
from harness.nats import Bare, with_nats
from harness.waiting import PATIENCE

PROTOCOL = "nats"


@pytest.fixture
def address(server):
    return server.address("nats")


GO = {
    "request": "re: ping",
    "queue": "total 300 members 3",
    "no-responders": "no responders",
    "headers": "red,blue kept body",
    "unsub-after": "received 3",
    "max-payload": "largest 1048576",
    "drain": "received 1000",
}


@pytest.mark.parametrize("scenario", GO)
def test_the_go_client_works(address, scenario):
    done = subprocess.run(
        [cache() / "bin/nats-go-client", f"nats://{address[0]}:{address[1]}", scenario],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == GO[scenario]


def test_a_request_is_answered(address, token):
    async def scenario(client, service):
        async def answer(message):
            await message.respond(b"re: " + message.data)

        await service.subscribe(token, cb=answer)
        await service.flush()
        got = await client.request(token, b"question", timeout=PATIENCE)
        assert got.data == b"re: question"

    with_nats(address, scenario)


def test_a_request_without_responders_fails_at_once(address, token):
    async def scenario(client):
        with pytest.raises(nats.errors.NoRespondersError):
            await client.request(token, b"", timeout=PATIENCE)

    with_nats(address, scenario)


def test_each_message_goes_to_one_member_of_a_queue_group(address, token):
    async def scenario(publisher, one, two, three):
        members = [await client.subscribe(f"{token}.*", "workers") for client in (one, two, three)]
        everyone = await one.subscribe(f"{token}.>")
        for client in (one, two, three):
            await client.flush()
        for number in range(300):
            await publisher.publish(f"{token}.x", b"%d" % number)
        await publisher.flush()
        for client in (one, two, three):
            await client.flush()
        all_messages = [(await everyone.next_msg(PATIENCE)).data for _ in range(300)]
        assert all_messages == [b"%d" % n for n in range(300)]
        shares = []
        for member in members:
            shares.append([])
            for _ in range(member.pending_msgs):
                shares[-1].append(int((await member.next_msg(PATIENCE)).data))
        assert sorted(sum(shares, [])) == list(range(300))
        assert all(len(share) > 30 for share in shares), [len(share) for share in shares]

    with_nats(address, scenario)


def test_headers_arrive_as_sent(address, token):
    async def scenario(client):
        subscription = await client.subscribe(token)
        await client.publish(token, b"body", headers={"Colour": "red", "lower": "kept", "Empty": ""})
        got = await subscription.next_msg(PATIENCE)
        assert got.data == b"body"
        assert got.headers == {"Colour": "red", "lower": "kept", "Empty": ""}

    with_nats(address, scenario)


def test_wildcards_match_tokens(address, token):
    async def scenario(client):
        cases = {
            f"{token}.*": ["a", "b"],
            f"{token}.>": ["a", "b", "a.b", "a.b.c"],
            f"{token}.*.b": ["a.b"],
            f"{token}.a.>": ["a.b", "a.b.c"],
            f"*.a.b": ["a.b"],
        }
        for pattern, expected in cases.items():
            subscription = await client.subscribe(pattern)
            for name in ("a", "b", "a.b", "a.b.c"):
                await client.publish(f"{token}.{name}", name.encode())
            await client.publish(token, b"the bare token matches none of them")
            # Each of them is waited for: the client counts what is pending a little late.
            got = [(await subscription.next_msg(PATIENCE)).data.decode() for _ in expected]
            await client.flush()
            assert (got, subscription.pending_msgs) == (expected, 0), pattern
            await subscription.unsubscribe()

    with_nats(address, scenario)


def test_unsubscribing_after_n_counts_from_the_start(address, token):
    with Bare(address) as bare:
        bare.send(f"SUB {token} 1\r\n")
        bare.send(f"PUB {token} 1\r\na\r\n")
        assert bare.message()[4] == b"a"
        bare.send("UNSUB 1 3\r\n")
        bare.send(f"PUB {token} 1\r\nx\r\n" * 5)
        assert bare.message()[4] == bare.message()[4] == b"x"
        bare.ping()


def test_a_client_can_ask_not_to_hear_itself(address, token):
    with Bare(address, echo=False) as bare, Bare(address) as other:
        bare.send(f"SUB {token} 1\r\nPUB {token} 4\r\nmine\r\n").ping()
        other.send(f"PUB {token} 5\r\nyours\r\n").ping()
        assert bare.message()[4] == b"yours"


def test_the_first_line_tells_what_the_server_can(address):
    with Bare(address) as bare:
        info = bare.info
        assert info["headers"] is True
        assert info["max_payload"] == 1_048_576
        assert info["proto"] == 1
        assert info["server_id"] and info["server_name"] and info["version"]
        assert info["client_id"] > 0
        assert not info.get("auth_required") and not info.get("tls_required")


def test_verbose_clients_get_ok_for_each_operation(address, token):
    with Bare(address, verbose=True) as bare:
        assert bare.answer() == b"+OK"
        bare.send(f"SUB {token} 1\r\n")
        assert bare.answer() == b"+OK"
        bare.send(f"PUB {token} 1\r\na\r\n")
        # Delivery and +OK may come in either order.
        lines = [bare.answer(), bare.answer(), bare.answer()]
        assert sorted(lines) == sorted([b"+OK", f"MSG {token} 1 1".encode(), b"a"])
        bare.send("UNSUB 1\r\n")
        assert bare.answer() == b"+OK"
        bare.ping()


def test_pedantic_clients_hear_about_bad_subjects(address, token):
    with Bare(address, pedantic=True) as bare:
        bare.send("PUB a.*.b 1\r\nx\r\n")
        assert bare.answer() == b"-ERR 'Invalid Publish Subject'"
        bare.ping()
        bare.send("SUB a..b 1\r\n")
        assert bare.answer() == b"-ERR 'Invalid Subject'"
        bare.send(f"SUB {token} 1\r\nPUB {token} 1\r\nx\r\n")
        assert bare.message()[4] == b"x", "the connection stays open"


def test_a_request_without_responders_gets_status_503(address, token):
    with Bare(address) as bare:
        bare.send(f"SUB _INBOX.{token} 9\r\nPUB {token} _INBOX.{token} 0\r\n\r\n")
        subject, sid, _, headers, payload = bare.message()
        assert (subject, sid, payload) == (f"_INBOX.{token}".encode(), b"9", b"")
        assert headers.startswith(b"NATS/1.0 503\r\n") and headers.endswith(b"\r\n\r\n")


def test_no_responders_needs_headers(address):
    with Bare(address, headers=False, no_responders=True) as bare:
        assert b"no responders requires headers support" in bare.answer().lower()
        assert bare.answer() is None


def test_clients_without_headers_get_the_payload_alone(address, token):
    with Bare(address, headers=False, no_responders=False) as old, Bare(address) as new:
        old.send(f"SUB {token} 1\r\n").ping()
        new.send(f"HPUB {token} 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\n").ping()
        assert old.answer() == f"MSG {token} 1 2".encode()
        assert old.bytes(4) == b"hi\r\n"


def test_pong_comes_after_all_that_was_sent_before(address, token):
    with Bare(address) as bare, Bare(address) as watcher:
        watcher.send(f"SUB {token} 1\r\n").ping()
        bare.send(f"SUB {token} 1\r\n" + f"PUB {token} 1\r\nx\r\n" * 1_000 + "PING\r\n")
        for _ in range(1_000):
            assert bare.message()[4] == b"x"
        assert bare.answer() == b"PONG"
        for _ in range(1_000):
            assert watcher.message()[4] == b"x"


def test_subjects_of_one_publisher_keep_their_order(address, token):
    with Bare(address) as watcher, Bare(address) as bare:
        watcher.send(f"SUB {token}.> 1\r\n").ping()
        bare.send("".join(f"PUB {token}.{n % 3} {len(str(n))}\r\n{n}\r\n" for n in range(600))).ping()
        assert [int(watcher.message()[4]) for _ in range(600)] == list(range(600))


def test_a_payload_over_the_limit_ends_the_connection(address, token):
    with Bare(address) as bare:
        bare.send(f"PUB {token} 1048577\r\n")
        assert bare.answer() == b"-ERR 'Maximum Payload Violation'"
        assert bare.answer() is None


def test_the_largest_payload_arrives_exactly(address, token):
    payload = bytes(n % 253 for n in range(1_048_576))
    with Bare(address) as bare:
        bare.send(f"SUB {token} 1\r\nPUB {token} {len(payload)}\r\n".encode() + payload + b"\r\n")
        assert bare.message()[4] == payload


def test_binary_payloads_and_subjects_are_kept(address, token):
    payload = b"\x00\r\nMSG \xff" * 3
    with Bare(address) as bare:
        subject = f"{token}.grüße.$x".encode()
        bare.send(b"SUB " + subject + b" s-1\r\n")
        bare.send(b"PUB " + subject + b" %d\r\n" % len(payload) + payload + b"\r\n")
        got = bare.message()
        assert (got[0], got[1], got[4]) == (subject, b"s-1", payload)


@pytest.mark.parametrize("what", ["BOGUS", "PUB", "SUB a", "HPUB x 99 3", "PUB a b c d"])
def test_a_line_that_makes_no_sense_is_an_error(address, what):
    with Bare(address) as bare:
        bare.send(what + "\r\n" + "PING\r\n" * 3)
        answer = bare.answer()
        assert answer is None or answer.startswith(b"-ERR"), answer
        while answer is not None:
            answer = bare.answer()


def test_a_line_without_an_end_is_an_error(address):
    with Bare(address) as bare:
        bare.send("SUB " + "a" * 5_000)
        answer = bare.answer()
        assert answer in (None, b"-ERR 'maximum control line exceeded'"), answer


def test_verbs_and_spaces_are_read_leniently(address, token):
    with Bare(address) as bare:
        bare.send(f"sub  {token}\t1\r\npub {token}   2\r\nok\r\n")
        assert bare.message()[4] == b"ok"
        bare.send("ping\r\n")
        assert bare.answer() == b"PONG"


def test_a_slow_consumer_does_not_hold_up_the_others(address, token):
    block = b"x" * 100_000
    slow = Bare(address)
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    with Bare(address) as quick, Bare(address) as publisher:
        for client in (slow, quick):
            client.send(f"SUB {token} 1\r\n").ping()
        for _ in range(1_000):
            publisher.send(b"PUB %s %d\r\n" % (token.encode(), len(block)) + block + b"\r\n")
            assert quick.message()[4] == block
        publisher.ping()
    slow.close()


def test_a_second_connect_is_taken(address):
    with Bare(address) as bare:
        bare.send("CONNECT " + json.dumps({"verbose": False, "name": "again"}) + "\r\n").ping()
