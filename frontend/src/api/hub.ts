/** Whether the hub can be reached. One place that fetches and sockets report to, and that the banner reads. */
import { reactive } from 'vue'

export const API = '/api/v1'

export const hub = reactive({ reachable: true, since: 0 })

const FIRST_WAIT_MS = 1_000
const LONGEST_WAIT_MS = 10_000
let probing = false
const returned = new Set<() => void>()

/** Calls back whenever the hub is there again after it was away. */
export function onReturn(callback: () => void): () => void {
  returned.add(callback)
  return () => returned.delete(callback)
}

export function hubAnswered(): void {
  if (hub.reachable) return
  hub.reachable = true
  for (const callback of returned) callback()
}

export function hubIsAway(): void {
  if (hub.reachable) {
    hub.reachable = false
    hub.since = Date.now()
  }
  if (!probing) void probe()
}

async function probe(): Promise<void> {
  probing = true
  let wait = FIRST_WAIT_MS
  while (!hub.reachable) {
    await new Promise((resolve) => setTimeout(resolve, wait))
    wait = Math.min(wait * 1.6, LONGEST_WAIT_MS)
    try {
      const response = await fetch(`${API}/health`, { cache: 'no-store' })
      if (response.status < 500) hubAnswered()
    } catch {
      // Still away: the loop goes on.
    }
  }
  probing = false
}
