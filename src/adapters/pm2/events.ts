import type { Pm2Event } from "../../rollout/pm2.js";

/** One packet of PM2's bus; `undefined` for what is of no interest. */
export function asEvent(topic: string, packet: Record<string, unknown>): Pm2Event | undefined {
  const source = packet.process as Record<string, unknown> | undefined;
  if (!source || typeof source.name !== "string") return undefined;
  const of = { pmId: Number(source.pm_id), name: source.name };
  if (topic === "log:out" || topic === "log:err") {
    const stream = topic === "log:out" ? "stdout" : "stderr";
    return { ...of, kind: "output", stream, text: String(packet.data) };
  }
  if (topic === "process:event") {
    const exitCode = source.exit_code;
    return {
      ...of,
      kind: "event",
      event: String(packet.event),
      restarts: Number(source.restart_time ?? 0),
      manually: packet.manually === true,
      ...(typeof exitCode === "number" && { exitCode }),
    };
  }
  if (topic === "process:exception") return { ...of, kind: "exception" };
  // Only dropless's own: PM2's monitoring sends several a second.
  if (topic.startsWith("dropless:")) return { ...of, kind: "message", type: topic, data: packet.data };
  return undefined;
}
