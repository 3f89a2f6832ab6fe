/** What a device sends while its page is open: the newest value of each series, and points for the chart. */
import { useQueryClient } from '@tanstack/vue-query'
import { onScopeDispose, ref, shallowRef } from 'vue'
import type { Reading, TelemetryFrame } from '@/api/types'
import { heardFrom } from '@/live/presence'
import { LiveSocket } from '@/live/socket'
import { numeric, type LivePoint } from './series'

const KEPT_POINTS = 5_000
const KEPT_READINGS = 60
const GATHER_MS = 50

export function useFeed(deviceId: number) {
  const queries = useQueryClient()
  const connected = ref(false)
  const newest = shallowRef(new Map<string, Reading>())
  const points = shallowRef(new Map<string, LivePoint[]>())
  const readings = shallowRef<Reading[]>([])
  let waiting: TelemetryFrame[] = []
  let timer = 0

  /** Frames that come close together are taken in together, so that a fast device costs few redraws. */
  function takeIn(): void {
    timer = 0
    const arrivedMs = Date.now()
    const nextNewest = new Map(newest.value)
    const nextPoints = new Map(points.value)
    const fresh: Reading[] = []
    for (const message of waiting) {
      heardFrom(deviceId, message.received_at)
      for (const reading of message.readings) {
        const known = nextNewest.get(reading.sensor_type)
        if (!known || Date.parse(known.timestamp) <= Date.parse(reading.timestamp)) nextNewest.set(reading.sensor_type, reading)
        const v = numeric(reading.value)
        if (v !== null) {
          const line = nextPoints.get(reading.sensor_type) ?? []
          const point = { t: Date.parse(reading.timestamp) / 1_000, v, arrivedMs }
          nextPoints.set(reading.sensor_type, [...line.slice(1 - KEPT_POINTS), point])
        }
        fresh.unshift(reading)
      }
    }
    waiting = []
    newest.value = nextNewest
    points.value = nextPoints
    readings.value = [...fresh, ...readings.value].slice(0, KEPT_READINGS)
  }

  const socket = new LiveSocket<TelemetryFrame | { type: 'dropped'; count: number }>(`/ws/live-data?device_id=${deviceId}`, {
    frame(message) {
      if (message.type === 'dropped') {
        // What this page was too slow for is stored all the same.
        void queries.invalidateQueries({ queryKey: ['telemetry'] })
      } else if (message.type === 'telemetry') {
        waiting.push(message)
        timer ||= window.setTimeout(takeIn, GATHER_MS)
      }
    },
    ready(again) {
      connected.value = true
      if (again) void queries.invalidateQueries({ queryKey: ['telemetry'] })
    },
    lost() {
      connected.value = false
    },
  })

  onScopeDispose(() => {
    clearTimeout(timer)
    socket.close()
  })
  return { connected, newest, points, readings }
}
