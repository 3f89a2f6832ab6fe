import { describe, expect, it } from 'vitest'
import { asked, matches, together, type LogFilter, type LogLine } from '@/devices/logs'

const ALL: LogFilter = { level: 'debug', source: '', words: '', hours: null }
const line = (id: number, more: Partial<LogLine> = {}): LogLine => ({
  id,
  timestamp: '2026-03-01T12:00:00.000Z',
  received_at: '2026-03-01T12:00:00.000Z',
  level: 'info',
  source: 'device',
  message: `Line ${id}`,
  ...more,
})

describe('searching a log', () => {
  it('asks the hub for what was chosen only', () => {
    expect(asked(ALL, 0)).toEqual({ limit: 100 })
    const now = Date.parse('2026-03-01T12:00:00Z')
    expect(asked({ level: 'warning', source: 'hub', words: ' hot ', hours: 24 }, now)).toEqual({
      limit: 100,
      level: 'warning',
      source: 'hub',
      q: 'hot',
      from: '2026-02-28T12:00:00.000Z',
    })
  })

  it('judges live lines as the hub would', () => {
    const hot = line(1, { level: 'error', message: 'Too HOT' })
    expect(matches(hot, { ...ALL, level: 'warning', words: 'hot' })).toBe(true)
    expect(matches(hot, { ...ALL, source: 'hub' })).toBe(false)
    expect(matches(line(2), { ...ALL, level: 'warning' })).toBe(false)
  })

  it('puts live lines on top, each once', () => {
    const shown = together([line(4), line(3), line(2)], [line(2), line(1)], ALL)
    expect(shown.map(({ id }) => id)).toEqual([4, 3, 2, 1])
    expect(together([line(4), line(3, { level: 'error' })], [], { ...ALL, level: 'error' }).map(({ id }) => id)).toEqual([3])
  })
})
