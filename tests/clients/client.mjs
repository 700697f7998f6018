// SPDX-License-Identifier: Apache-2.0
// Upstream and downstream of tutti, with kafkajs and the CloudEvents SDK:
//
//   client.mjs produce BROKERS TOPIC binary|structured|json KEY ID DATA   one record; ID and DATA (JSON) are the event's
//   client.mjs consume BROKERS TOPIC SUBJECT TYPE                         what is told about SUBJECT, up to the first of TYPE, as JSON lines
//
// What it consumes is decoded by the SDK's Kafka binding and held against the specification.
import { CloudEvent, Kafka as binding } from "cloudevents";
import { Kafka, logLevel } from "kafkajs";

const [command, brokers, topic, ...args] = process.argv.slice(2);
const kafka = new Kafka({ brokers: brokers.split(","), clientId: "tutti-tests", logLevel: logLevel.ERROR });

// The SDK has headers for attributes that an event lacks, and leaves data as they are; kafkajs takes neither.
const present = (headers) => Object.fromEntries(Object.entries(headers).filter(([, v]) => v !== undefined));
const message = {
  binary: (event) => ({ value: JSON.stringify(event.data), headers: present(binding.binary(event).headers) }),
  structured: (event) => binding.structured(event),
  json: (event) => ({ value: JSON.stringify(event.data) }),
};

async function produce(mode, key, id, data) {
  const event = new CloudEvent({
    id, type: "com.example.order.paid", source: "/shop", datacontenttype: "application/json",
    partitionkey: key, data: JSON.parse(data),
  });
  const producer = kafka.producer();
  await producer.connect();
  const { value, headers } = message[mode](event);
  await producer.send({ topic, acks: -1, messages: [{ key, value, headers }] });
  await producer.disconnect();
}

// kafkajs has every header as bytes, the SDK wants text.
const text = (headers) => Object.fromEntries(Object.entries(headers).map(([k, v]) => [k, v.toString()]));

async function consume(subject, type) {
  const consumer = kafka.consumer({ groupId: `tests-${process.pid}-${Date.now()}` });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer.run({
      eachMessage: async ({ message: m }) => {
        try {
          const event = binding.toEvent({ headers: text(m.headers), key: m.key.toString(), value: m.value });
          event.validate();
          if (event.subject !== subject) return;
          console.log(JSON.stringify(event));
          if (event.type === type) resolve();
        } catch (e) {
          reject(e);
        }
      },
    });
  });
  await consumer.disconnect();
}

await { produce, consume }[command](...args);
