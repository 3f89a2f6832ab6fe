/** Presence as the hub announces it, on top of what the lists last said. */
import { reactive } from 'vue'
import type { QueryClient } from '@tanstack/vue-query'
import type { Device, StatusFrame } from '@/api/types'
import { LiveSocket } from './socket'

interface Seen {
  status: string | null
  since: string | null
  reason: string | null
  cause: Device['status_cause']
  lastSeenAt: string | null
}

const known = reactive(new Map<number, Seen>())
const listeners = new Set<(frame: StatusFrame) => void>()

/** What is known live about a device, laid over what its record says. */
export function presenceOf(device: Pick<Device, 'id' | 'status' | 'last_seen_at'> & Partial<Pick<Device, 'status_cause'>>): Seen & { status: string } {
  const live = known.get(device.id)
  return {
    status: live?.status ?? device.status,
    since: live?.since ?? null,
    reason: live?.reason ?? null,
    cause: live?.status ? live.cause : (device.status_cause ?? null),
    lastSeenAt: later(live?.lastSeenAt ?? null, device.last_seen_at),
  }
}

/** A message of the device just arrived. */
export function heardFrom(deviceId: number, at: string): void {
  const live = known.get(deviceId)
  if (live) live.lastSeenAt = later(live.lastSeenAt, at)
  else known.set(deviceId, { status: null, since: null, reason: null, cause: null, lastSeenAt: at })
}

export function onStatus(listener: (frame: StatusFrame) => void): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function watchPresence(queries: QueryClient): () => void {
  const socket = new LiveSocket<StatusFrame>('/ws/device-status', {
    frame(frame) {
      if (frame.type !== 'status') return
      known.set(frame.device_id, {
        status: frame.status,
        since: frame.since,
        reason: frame.reason,
        cause: frame.cause,
        lastSeenAt: later(frame.last_seen_at, known.get(frame.device_id)?.lastSeenAt ?? null),
      })
      void queries.invalidateQueries({ queryKey: ['status', frame.device_id] })
      for (const listener of listeners) listener(frame)
    },
    ready(again) {
      // What changed while nobody listened is in the records only.
      known.clear()
      if (again) void queries.invalidateQueries()
    },
  })
  return () => {
    socket.close()
    known.clear()
  }
}

function later(a: string | null, b: string | null): string | null {
  if (!a || !b) return a ?? b
  return Date.parse(a) >= Date.parse(b) ? a : b
}
