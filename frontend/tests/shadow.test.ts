import { describe, expect, it } from 'vitest'
import { parseDocument } from '@/api/documents'
import { changesBetween, changesOf, rowsOf, shown } from '@/shadow/diff'

describe('a shadow side by side', () => {
  it('shows every leaf of either side, what waits first', () => {
    const rows = rowsOf({ led: true, net: { ssid: 'a', dhcp: true }, list: [1] }, { net: { dhcp: true, ssid: 'b' }, uptime_s: 5, list: [1] })
    expect(rows).toEqual([
      { path: 'led', desired: true, state: 'waiting' },
      { path: 'net.ssid', desired: 'a', reported: 'b', state: 'waiting' },
      { path: 'list', desired: [1], reported: [1], state: 'same' },
      { path: 'net.dhcp', desired: true, reported: true, state: 'same' },
      { path: 'uptime_s', reported: 5, state: 'own' },
    ])
  })

  it('says what becomes of each leaf', () => {
    expect(changesBetween({ a: 1, b: { c: 1, d: 2 }, e: {} }, { a: 2, b: { c: 1 }, e: {}, f: 'x' })).toEqual([
      { path: 'a', before: 1, after: 2 },
      { path: 'b.d', before: 2 },
      { path: 'f', after: 'x' },
    ])
    expect(changesBetween({ a: [1] }, { a: [1] })).toEqual([])
  })

  it('reads a merge patch', () => {
    expect(changesOf({ a: null, b: { c: 1, d: null } })).toEqual([{ path: 'a' }, { path: 'b.c', after: 1 }, { path: 'b.d' }])
  })

  it('shows values as JSON', () => {
    expect([undefined, 'x', true, [1]].map(shown)).toEqual(['–', '"x"', 'true', '[1]'])
  })
})

describe('a document as it is typed', () => {
  it('is an object or a sentence', () => {
    expect(parseDocument(' {"a": 1} ')).toEqual({ a: 1 })
    expect(parseDocument('')).toEqual({})
    expect(['{', '[1]', 'null', '5'].map(parseDocument).every((said) => typeof said === 'string')).toBe(true)
  })
})
