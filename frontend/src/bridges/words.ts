/** Bridges in words. */
import type { Bridge, Source, Tried } from './queries'

export const STATUS = {
  connected: { label: 'Connected', tone: 'good' },
  failing: { label: 'Failing', tone: 'bad' },
  waiting: { label: 'Connecting', tone: 'neutral' },
  off: { label: 'Paused', tone: 'neutral' },
} as const satisfies Record<Bridge['status'], { label: string; tone: string }>

/** What a form's row says; what is left empty counts as the hub's usual. */
export function sourceOf(row: { topic: string; device_uid: string; key: string }): Source {
  return {
    topic: row.topic.trim(),
    device_uid: row.device_uid.trim() || '{device}',
    key: row.key.trim() || null,
  }
}

export function triedText(tried: Tried): string {
  if (tried.reason !== null) return tried.reason
  const values = Object.entries(tried.readings).map(([key, value]) => `${key} = ${value}`)
  return `${tried.device_uid}: ${values.join(', ')}`
}

export function heardText(bridge: Bridge): string {
  if (bridge.sources.length === 0) return 'It takes no messages.'
  if (bridge.devices === 0) return 'No device was heard yet.'
  return bridge.devices === 1 ? 'One device was heard.' : `${bridge.devices} devices were heard.`
}
