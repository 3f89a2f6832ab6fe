import { describe, expect, it } from 'vitest'
import { emptyForm, orderOf } from '@/tasks/form'
import type { Context } from '@/tasks/queries'
import { devicesOf, percentOf, reception, through, typesOf } from '@/tasks/words'

const context = (context_key: string, tasks?: unknown): Context => ({
  device_id: 7,
  context_key,
  capabilities: tasks === undefined ? {} : { tasks },
  meta: {},
  seen_at: '2026-03-01T12:00:00.000Z',
  created_at: '2026-03-01T12:00:00.000Z',
})

describe('what a device takes', () => {
  it('is all that its contexts name, or anything', () => {
    expect(typesOf([context('a', ['ping', 'b']), context('b', ['ping', 5])])).toEqual(['b', 'ping'])
    expect(typesOf([context('a', ['ping']), context('b')])).toBeNull()
    expect(typesOf([])).toBeNull()
  })

  it('warns of what nobody takes', () => {
    const both = [context('a', ['ping']), context('b', ['reboot'])]
    expect(reception(both, '', 'ping')).toBeNull()
    expect(reception(both, 'b', 'ping')).toBe('The context b does not take ping: the task waits until one does.')
    expect(reception(both, '', 'dance')).toBe('No context of this device takes dance: the task waits until one does.')
    expect(reception(both, '', '')).toBeNull()
    expect(reception([], '', 'ping')).toMatch(/^No context/)
  })
})

describe('an order', () => {
  it('is what was typed, and nothing else', () => {
    expect(orderOf({ ...emptyForm(), type: ' ping ' })).toEqual({ type: 'ping', payload: {} })
    const full = { type: 'a', payload: '{"n": 1}', notBefore: '2026-03-01T12:00:00', expiresAt: '', maxAttempts: '3', priority: '-5' }
    expect(orderOf(full)).toEqual({
      type: 'a',
      payload: { n: 1 },
      not_before: new Date(2026, 2, 1, 12).toISOString(),
      max_attempts: 3,
      priority: -5,
    })
  })

  it('is none while something cannot be read', () => {
    for (const wrong of [{ type: '' }, { payload: '[]' }, { payload: '{' }, { maxAttempts: 'x' }, { priority: '1.5' }])
      expect(orderOf({ ...emptyForm(), type: 'ping', ...wrong })).toBeNull()
  })
})

describe('bulk work', () => {
  it('names only what was chosen', () => {
    expect(devicesOf({ home: null, type: ' ', tag: 'attic', firmware: '' }, null)).toEqual({ tag: 'attic' })
    expect(devicesOf({ home: 4, type: '', tag: '', firmware: '1.0' }, 3)).toEqual({ organization_id: 3, home_id: 4, firmware_version: '1.0' })
  })

  it('is through with what waits no longer', () => {
    const counts = { queued: 1, leased: 1, done: 3, failed: 1, cancelled: 0, expired: 0 }
    expect(through({ devices: 6, counts })).toBe(66)
    expect(through({ devices: 0, counts: {} as typeof counts })).toBe(100)
  })
})

describe('progress', () => {
  it('counts while the task runs', () => {
    const progress = { percent: 40, note: null, at: '2026-03-01T12:00:00.000Z' }
    expect(percentOf({ status: 'leased', progress })).toBe(40)
    expect(percentOf({ status: 'done', progress })).toBeNull()
    expect(percentOf({ status: 'leased', progress: null })).toBeNull()
  })
})
