/** Tasks in words and colours. Pure. */
import type { Tone } from '@/devices/status'
import type { Bulk, Context, Task } from './queries'

export type Status = Task['status']

export const STATUS: Record<Status, { label: string; tone: Tone | 'accent' }> = {
  queued: { label: 'Waiting', tone: 'neutral' },
  leased: { label: 'Running', tone: 'accent' },
  done: { label: 'Done', tone: 'good' },
  failed: { label: 'Failed', tone: 'bad' },
  cancelled: { label: 'Cancelled', tone: 'neutral' },
  expired: { label: 'Expired', tone: 'warn' },
}

/** In the order in which a bar shows them. */
export const STATUSES = ['done', 'leased', 'queued', 'failed', 'expired', 'cancelled'] as const satisfies readonly Status[]

export const isOpen = (status: Status): boolean => status === 'queued' || status === 'leased'

export const percentOf = (task: Pick<Task, 'status' | 'progress'>): number | null =>
  task.status === 'leased' ? (task.progress?.percent ?? null) : null

/** The types that a device's contexts say they take; null when one of them takes every type. */
export function typesOf(contexts: readonly Context[]): string[] | null {
  const named = contexts.map(({ capabilities }) => capabilities.tasks)
  if (named.length === 0 || named.some((list) => !Array.isArray(list))) return null
  return [...new Set(named.flat().filter((name): name is string => typeof name === 'string'))].sort()
}

/** What will happen to a task of this type, as far as the contexts tell. */
export function reception(contexts: readonly Context[], key: string, type: string): string | null {
  if (contexts.length === 0) return 'No context of this device has been heard yet: the task waits until one asks for work.'
  const fitting = contexts.filter(({ context_key }) => !key || context_key === key)
  const types = typesOf(fitting)
  if (!type || types === null || types.includes(type)) return null
  return `${key ? `The context ${key}` : 'No context of this device'} ${key ? 'does not take' : 'takes'} ${type}: the task waits until one does.`
}

/** How far a piece of bulk work is: the share of its devices that are through with it, in percent. */
export function through(bulk: Pick<Bulk, 'counts' | 'devices'>): number {
  const open = (bulk.counts.queued ?? 0) + (bulk.counts.leased ?? 0)
  return bulk.devices === 0 ? 100 : Math.floor(((bulk.devices - open) / bulk.devices) * 100)
}

export interface Query {
  home: number | null
  type: string
  tag: string
  firmware: string
}

/** Which devices a query asks for, as the hub takes it. */
export function devicesOf(query: Query, organizationId: number | null) {
  return {
    ...(organizationId === null ? {} : { organization_id: organizationId }),
    ...(query.home === null ? {} : { home_id: query.home }),
    ...(query.type.trim() ? { type: query.type.trim() } : {}),
    ...(query.tag.trim() ? { tag: query.tag.trim() } : {}),
    ...(query.firmware.trim() ? { firmware_version: query.firmware.trim() } : {}),
  }
}
