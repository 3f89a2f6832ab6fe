import { describe, expect, it } from 'vitest'
import { ago, countdown } from '@/time/relative'

describe('times', () => {
  it.each([
    [0, 'just now'],
    [14_000, '14 s ago'],
    [59_400, '59 s ago'],
    [61_000, '1 min ago'],
    [3 * 3_600_000, '3 h ago'],
    [86_400_000, '1 day ago'],
    [40 * 86_400_000, '40 days ago'],
    [-20_000, 'just now'],
    [-120_000, 'in 2 min'],
  ])('say how long %s ms are', (age, text) => {
    expect(ago(1_000_000_000_000 - age, 1_000_000_000_000)).toBe(text)
  })

  it('count down to nothing and no further', () => {
    expect(countdown(605_000, 0)).toBe('10:05')
    expect(countdown(0, 5_000)).toBe('0:00')
  })
})
