/**
 * Watches a device join: first until it has confirmed its code, then until its first message is here. Hears of it over
 * the live sockets and asks now and then all the same, so that a lost frame costs seconds, not the whole wait.
 */
import { onScopeDispose, ref, type Ref } from 'vue'
import { client } from '@/api/client'
import type { Reading, TelemetryFrame } from '@/api/types'
import { onStatus } from '@/live/presence'
import { LiveSocket } from '@/live/socket'

const ASK_EVERY_MS = 2_000

export interface Arrival {
  deviceId: Ref<number | null>
  readings: Ref<Reading[]>
  /** Waits for the device with this uid to be ours. */
  waitForClaim: (deviceUid: string) => void
  /** Waits for the first message of a device that is ours. */
  waitForMessage: (deviceId: number) => void
  stop: () => void
}

export function useArrival(): Arrival {
  const deviceId = ref<number | null>(null)
  const readings = ref<Reading[]>([])
  let endings: (() => void)[] = []

  function stop(): void {
    for (const end of endings) end()
    endings = []
  }

  function every(work: () => Promise<void>): () => void {
    const timer = setInterval(() => {
      // A question that fails is asked again at the next turn.
      work().catch(() => undefined)
    }, ASK_EVERY_MS)
    return () => clearInterval(timer)
  }

  function waitForClaim(deviceUid: string): void {
    stop()
    const look = async (): Promise<void> => {
      const { data } = await client.GET('/api/v1/devices', { params: { query: { q: deviceUid, limit: 50 } } })
      const found = data?.find((device) => device.device_uid === deviceUid)
      if (found && deviceId.value === null && endings.length) waitForMessage(found.id)
    }
    endings = [every(look), onStatus(() => void look().catch(() => undefined))]
  }

  function waitForMessage(id: number): void {
    stop()
    deviceId.value = id
    const look = async (): Promise<void> => {
      const { data } = await client.GET('/api/v1/devices/{device_id}/readings/latest', {
        params: { path: { device_id: id } },
      })
      if (data?.length) arrived(data)
    }
    const socket = new LiveSocket<TelemetryFrame>(`/ws/live-data?device_id=${id}`, {
      frame: (frame) => {
        if (frame.type === 'telemetry') arrived(frame.readings)
      },
      ready: () => void look().catch(() => undefined),
    })
    endings = [() => socket.close(), every(look)]
  }

  function arrived(fresh: Reading[]): void {
    readings.value = fresh
    stop()
  }

  onScopeDispose(stop)
  return { deviceId, readings, waitForClaim, waitForMessage, stop }
}
