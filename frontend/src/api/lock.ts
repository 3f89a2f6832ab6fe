/**
 * One tab at a time. Refresh tokens rotate, and a spent one that comes back ends the whole session, so two tabs must
 * never refresh at once. The browser's own locks exist in secure contexts only; a hub on a home network speaks plain
 * HTTP, so there a lock in local storage stands in.
 */

const KEY = 'roost.refreshing'
const STALE_MS = 8_000

export async function exclusively<T>(work: () => Promise<T>): Promise<T> {
  if ('locks' in navigator && navigator.locks) {
    return navigator.locks.request(KEY, work) as Promise<T>
  }
  const mine = `${Math.random()}`
  await acquire(mine)
  try {
    return await work()
  } finally {
    if (read()?.owner === mine) localStorage.removeItem(KEY)
  }
}

async function acquire(mine: string): Promise<void> {
  for (;;) {
    const held = read()
    if (!held || Date.now() - held.at > STALE_MS) {
      localStorage.setItem(KEY, JSON.stringify({ owner: mine, at: Date.now() }))
      // Another tab may have written at the same moment; whoever is still there after a while has it.
      await pause(40 + Math.random() * 40)
      if (read()?.owner === mine) return
    }
    await pause(60)
  }
}

function read(): { owner: string; at: number } | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? 'null')
  } catch {
    return null
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
