"""Walks through AMQP 0-9-1 with pika and prints what the broker did, one line a step: two brokers that do the same
print the same. The URL of a user who may do everything is the only argument."""

import sys

import pika
import pika.exceptions as errors

url = sys.argv[1]


def say(step, *what):
    print(step + ":", *what, flush=True)


def connect():
    return pika.BlockingConnection(pika.URLParameters(url))


def refused(step, ask):
    connection = connect()
    channel = connection.channel()
    try:
        ask(channel)
        say(step, "allowed")
    except errors.ChannelClosedByBroker as error:
        say(step, "channel", error.reply_code)
    except errors.ConnectionClosedByBroker as error:
        say(step, "connection", error.reply_code)
    if connection.is_open:
        connection.close()


connection = connect()
channel = connection.channel()
say("open", connection.publisher_confirms_supported, connection.basic_nack_supported, connection.consumer_cancel_notify_supported)

declared = channel.queue_declare("walk", durable=True)
say("declare", declared.method.queue, declared.method.message_count, declared.method.consumer_count)
server_named = channel.queue_declare("", exclusive=True).method.queue
say("server-named", server_named.startswith("amq.gen"))
channel.exchange_declare("walk-topic", "topic", durable=True)
channel.queue_bind("walk", "walk-topic", "a.*")
channel.queue_bind(server_named, "walk-topic", "#")

channel.confirm_delivery()
for key in ("a.b", "a.b.c", "x"):
    channel.basic_publish("walk-topic", key, ("to " + key).encode(), pika.BasicProperties(delivery_mode=2, headers={"n": 1, "s": ["ä", None, True]}))
say("routed", channel.queue_declare("walk", passive=True).method.message_count, channel.queue_declare(server_named, passive=True).method.message_count)
try:
    channel.basic_publish("", "no-such-queue", b"x", mandatory=True)
    say("unroutable", "accepted")
except errors.UnroutableError as error:
    say("unroutable", error.messages[0].method.reply_code, error.messages[0].method.reply_text)

method, properties, body = channel.basic_get("walk")
say("get", method.delivery_tag, method.redelivered, method.routing_key, method.message_count, properties.headers, properties.delivery_mode, body)
channel.basic_nack(method.delivery_tag, requeue=True)
method, properties, body = channel.basic_get("walk")
say("again", method.delivery_tag, method.redelivered, body)
channel.basic_ack(method.delivery_tag)
say("empty", channel.basic_get("walk"))

large = bytes(range(256)) * 4096
channel.basic_publish("", "walk", large, pika.BasicProperties(delivery_mode=2))
method, properties, body = channel.basic_get("walk", auto_ack=True)
say("large", len(body), body == large)

for number in range(10):
    channel.basic_publish("", "walk", str(number).encode(), pika.BasicProperties(delivery_mode=2, message_id=str(number)))
channel.basic_qos(prefetch_count=3)
seen = []
for method, properties, body in channel.consume("walk", inactivity_timeout=5):
    seen.append(body.decode())
    if len(seen) == 3:
        channel.basic_ack(method.delivery_tag, multiple=True)
    elif len(seen) > 3:
        channel.basic_ack(method.delivery_tag)
    if len(seen) == 10:
        break
say("consumed", seen)
say("cancel", channel.cancel())

channel.basic_publish("", "walk", b"left")
say("purge", channel.queue_purge("walk").method.message_count)
channel.queue_unbind("walk", "walk-topic", "a.*")
channel.basic_publish("walk-topic", "a.z", b"")
say("unbound", channel.queue_declare("walk", passive=True).method.message_count)

other = connect().channel()
other.basic_consume("walk", lambda *_: None, exclusive=True)
refused("second to exclusive", lambda c: c.basic_consume("walk", lambda *_: None))
other.connection.close()
refused("exclusive queue", lambda c: c.queue_declare(server_named, passive=True))
refused("passive queue", lambda c: c.queue_declare("walk-nothing", passive=True))
refused("passive exchange", lambda c: c.exchange_declare("walk-nothing", passive=True))
refused("otherwise", lambda c: c.queue_declare("walk", durable=False))
refused("reserved", lambda c: c.queue_declare("amq.walk"))
refused("bind to nothing", lambda c: c.queue_bind("walk", "walk-nothing", "k"))
refused("not empty", lambda c: (c.basic_publish("", "walk", b"x"), c.queue_delete("walk", if_empty=True)))

cancelled = []
watcher = connect()
watching = watcher.channel()
watching.add_on_cancel_callback(lambda frame: cancelled.append(frame.method.consumer_tag))
watching.basic_consume("walk", lambda *_: None, consumer_tag="watcher")
deleted = channel.queue_delete("walk").method.message_count
while not cancelled:
    watcher.process_data_events(time_limit=1)
say("cancelled", cancelled)
watcher.close()
channel.exchange_delete("walk-topic")
refused("deleted", lambda c: c.exchange_declare("walk-topic", passive=True))

connection.close()
wrong = pika.URLParameters(url)
wrong.credentials = pika.PlainCredentials(wrong.credentials.username, "wrong")
try:
    pika.BlockingConnection(wrong)
    say("wrong password", "allowed")
except errors.AMQPConnectionError as error:
    say("wrong password", type(error).__name__, getattr(error, "reply_code", None))
strange = pika.URLParameters(url)
strange.virtual_host = "nowhere"
try:
    pika.BlockingConnection(strange)
    say("virtual host", "allowed")
except errors.AMQPConnectionError as error:
    say("virtual host", type(error).__name__)
