"""What an application does first, through redis-py, in both protocols. Usage: smoke.py PORT"""

import sys
import traceback

import redis


def strings(client):
    assert client.set("k", "v") is True
    assert client.get("k") == b"v"
    assert client.set("k", "w", nx=True) is None
    assert client.set("k", "w", get=True) == b"v"
    assert client.mset({"a": 1, "b": 2}) is True
    assert client.mget("a", "nothing", "b") == [b"1", None, b"2"]
    assert client.append("k", "x") == 2 and client.strlen("k") == 2


def numbers(client):
    assert client.incr("n") == 1 and client.decrby("n", 3) == -2
    assert client.incrbyfloat("f", 1.5) == 1.5
    try:
        client.incr("k")
    except redis.ResponseError as error:
        assert str(error) == "value is not an integer or out of range", error
    else:
        raise AssertionError("INCR of a text")


def keys(client):
    assert client.exists("k", "nothing") == 1
    assert client.rename("k", "l") is True
    assert client.type("l") == b"string"
    assert sorted(client.keys("*")) == sorted(client.scan_iter(count=2))
    assert client.delete("l", "nothing") == 1
    assert client.dbsize() == len(client.keys())


def expiry(client):
    assert client.set("t", 1, ex=100) is True
    assert 90 < client.ttl("t") <= 100 and 90_000 < client.pttl("t") <= 100_000
    assert client.persist("t") is True and client.ttl("t") == -1
    assert client.expire("t", 0) is True and client.get("t") is None


def pipelines(client):
    pipeline = client.pipeline(transaction=False)
    for index in range(1000):
        pipeline.set(f"p{index}", index)
    pipeline.get("p999")
    assert pipeline.execute()[-1] == b"999"


def connection(client):
    assert client.ping() is True and client.echo("x") == b"x"
    # redis-py decodes the name in RESP2 only.
    assert client.client_setname("smoke") is True
    assert client.client_getname() in ("smoke", b"smoke")
    assert client.info("server")["redis_version"]
    assert client.config_get("maxmemory")
    assert client.command_count() > 50


CHECKS = (strings, numbers, keys, expiry, pipelines, connection)


def main(port):
    failed = 0
    for protocol in (2, 3):
        # One connection, so that its name stays with it.
        client = redis.Redis(port=port, protocol=protocol, single_connection_client=True)
        client.flushall()
        for check in CHECKS:
            name = f"{check.__name__}, RESP{protocol}"
            try:
                check(client)
                print(f"ok {name}")
            except Exception:
                failed += 1
                print(f"failed {name}: {traceback.format_exc()}")
    return 1 if failed else 0


sys.exit(main(int(sys.argv[1])))
