/** Lines of a device's log: searched, and followed. */
import { keepPreviousData, useInfiniteQuery, useQueryClient } from '@tanstack/vue-query'
import { onScopeDispose, ref, shallowRef, type Ref } from 'vue'
import { client } from '@/api/client'
import type { components } from '@/api/schema'
import { LiveSocket } from '@/live/socket'

export type LogLine = components['schemas']['LogLineOut']
type Level = LogLine['level']

export interface LogFilter {
  level: Level
  source: '' | 'device' | 'hub'
  words: string
  /** The last so many hours; null = any time. */
  hours: number | null
}

type LogFrame = (LogLine & { type: 'log'; device_id: number }) | { type: 'dropped'; count: number }

const PAGE = 100
const KEPT_LIVE = 500
const GATHER_MS = 100
const HOUR_MS = 3_600_000
const ORDER: readonly Level[] = ['debug', 'info', 'warning', 'error', 'critical']

export function useLogs(deviceId: Ref<number>, filter: Ref<LogFilter>) {
  return useInfiniteQuery({
    queryKey: ['logs', deviceId, filter],
    initialPageParam: null as string | null,
    queryFn: async ({ pageParam, signal }) => {
      const params = { path: { device_id: deviceId.value }, query: { ...asked(filter.value, Date.now()), ...(pageParam ? { cursor: pageParam } : {}) } }
      const { data, response } = await client.GET('/api/v1/devices/{device_id}/logs', { params, signal })
      return { lines: data ?? [], next: response.headers.get('X-Next-Cursor') }
    },
    getNextPageParam: (page) => page.next,
    placeholderData: keepPreviousData,
  })
}

/** Lines that came since the page was opened, the newest first. */
export function useLogFeed(deviceId: number) {
  const queries = useQueryClient()
  const connected = ref(false)
  const fresh = shallowRef<LogLine[]>([])
  let waiting: LogLine[] = []
  let timer = 0

  function takeIn(): void {
    timer = 0
    fresh.value = [...waiting.reverse(), ...fresh.value].slice(0, KEPT_LIVE)
    waiting = []
  }

  const renew = () => void queries.invalidateQueries({ queryKey: ['logs'] })
  const socket = new LiveSocket<LogFrame>(`/ws/device-logs?device_id=${deviceId}`, {
    frame(frame) {
      // What this page was too slow for is stored all the same.
      if (frame.type === 'dropped') renew()
      else if (frame.type === 'log') {
        waiting.push(frame)
        timer ||= window.setTimeout(takeIn, GATHER_MS)
      }
    },
    ready() {
      connected.value = true
      // What was written between the page's own question and this moment, nobody was told.
      renew()
    },
    lost() {
      connected.value = false
    },
  })
  onScopeDispose(() => {
    clearTimeout(timer)
    socket.close()
  })
  return { connected, fresh }
}

export function asked(filter: LogFilter, nowMs: number) {
  return {
    limit: PAGE,
    ...(filter.level === 'debug' ? {} : { level: filter.level }),
    ...(filter.source ? { source: filter.source } : {}),
    ...(filter.words.trim() ? { q: filter.words.trim() } : {}),
    ...(filter.hours === null ? {} : { from: new Date(nowMs - filter.hours * HOUR_MS).toISOString() }),
  }
}

/** Whether the hub would have found this line with the filter, too. */
export function matches(line: LogLine, filter: LogFilter): boolean {
  return (
    ORDER.indexOf(line.level) >= ORDER.indexOf(filter.level) &&
    (!filter.source || line.source === filter.source) &&
    line.message.toLowerCase().includes(filter.words.trim().toLowerCase())
  )
}

/** Live lines on top of those that were asked for, each once. */
export function together(fresh: readonly LogLine[], stored: readonly LogLine[], filter: LogFilter): LogLine[] {
  const known = new Set(stored.map(({ id }) => id))
  return [...fresh.filter((line) => !known.has(line.id) && matches(line, filter)), ...stored]
}
