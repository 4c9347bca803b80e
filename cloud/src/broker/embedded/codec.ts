/** The AMQP 0-9-1 method tables of amqplib, which know every method in both directions. */
import { amqplibInternals } from "../amqplib-internals.ts";

/** Method arguments by name, as the tables decode them. */
export type Fields = Record<string, unknown>;

interface MethodTables {
	decode(id: number, args: Buffer): Fields;
	encodeMethod(id: number, channel: number, fields: Fields): Buffer;
	info(id: number): { name: string };
}

const tables = amqplibInternals("defs.js") as MethodTables;

/** Class and method ids, `class << 16 | method`. */
export const methods = {
	connectionStart: 655370,
	connectionStartOk: 655371,
	connectionTune: 655390,
	connectionTuneOk: 655391,
	connectionOpen: 655400,
	connectionOpenOk: 655401,
	connectionClose: 655410,
	connectionCloseOk: 655411,
	channelOpen: 1310730,
	channelOpenOk: 1310731,
	channelFlow: 1310740,
	channelFlowOk: 1310741,
	channelClose: 1310760,
	channelCloseOk: 1310761,
	exchangeDeclare: 2621450,
	exchangeDeclareOk: 2621451,
	exchangeDelete: 2621460,
	exchangeDeleteOk: 2621461,
	queueDeclare: 3276810,
	queueDeclareOk: 3276811,
	queueBind: 3276820,
	queueBindOk: 3276821,
	queuePurge: 3276830,
	queuePurgeOk: 3276831,
	queueDelete: 3276840,
	queueDeleteOk: 3276841,
	queueUnbind: 3276850,
	queueUnbindOk: 3276851,
	basicQos: 3932170,
	basicQosOk: 3932171,
	basicConsume: 3932180,
	basicConsumeOk: 3932181,
	basicCancel: 3932190,
	basicCancelOk: 3932191,
	basicPublish: 3932200,
	basicReturn: 3932210,
	basicDeliver: 3932220,
	basicGet: 3932230,
	basicGetOk: 3932231,
	basicGetEmpty: 3932232,
	basicAck: 3932240,
	basicReject: 3932250,
	basicRecoverAsync: 3932260,
	basicRecover: 3932270,
	basicRecoverOk: 3932271,
	basicNack: 3932280,
	confirmSelect: 5570570,
	confirmSelectOk: 5570571,
} as const;

/** Throws a RangeError or TypeError when the arguments are cut short or the method is unknown. */
export const decodeMethod = (id: number, args: Buffer): Fields => tables.decode(id, args);

/** A whole method frame. */
export const encodeMethod = (id: number, channel: number, fields: Fields): Buffer =>
	tables.encodeMethod(id, channel, fields);

/** `queue.declare`, for messages to people. */
export function methodName(id: number): string {
	try {
		return tables
			.info(id)
			.name.replace(/([a-z])([A-Z])/, "$1.$2")
			.replace(/([a-z])([A-Z])/g, "$1-$2")
			.toLowerCase();
	} catch {
		return `method ${id >>> 16}.${id & 0xffff}`;
	}
}
