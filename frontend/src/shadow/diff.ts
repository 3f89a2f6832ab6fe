/** Documents of a shadow side by side. Pure. */

import type { Document, Json } from '@/api/documents'

export interface Row {
  path: string
  desired?: Json
  reported?: Json
  /** What is desired is so, is not so yet, or only the device has it. */
  state: 'same' | 'waiting' | 'own'
}

export interface Change {
  path: string
  before?: Json
  after?: Json
}

/** Every leaf of either side by its path, those that wait first. */
export function rowsOf(desired: Document, reported: Document): Row[] {
  const wanted = leavesOf(desired)
  const said = leavesOf(reported)
  const rows: Row[] = []
  for (const path of new Set([...wanted.keys(), ...said.keys()])) {
    const row = { path, ...(wanted.has(path) && { desired: wanted.get(path)! }), ...(said.has(path) && { reported: said.get(path)! }) }
    if (!wanted.has(path)) rows.push({ ...row, state: 'own' })
    else rows.push({ ...row, state: said.has(path) && same(wanted.get(path)!, said.get(path)!) ? 'same' : 'waiting' })
  }
  const order = { waiting: 0, same: 1, own: 2 }
  return rows.sort((a, b) => order[a.state] - order[b.state] || compare(a.path, b.path))
}

/** What became of each leaf, by path. */
export function changesBetween(before: Document, after: Document): Change[] {
  const old = leavesOf(before)
  const now = leavesOf(after)
  return [...new Set([...old.keys(), ...now.keys()])]
    .filter((path) => !(old.has(path) && now.has(path) && same(old.get(path)!, now.get(path)!)))
    .sort(compare)
    .map((path) => ({ path, ...(old.has(path) && { before: old.get(path)! }), ...(now.has(path) && { after: now.get(path)! }) }))
}

/** The leaves that a merge patch sets, and those that it removes (null). */
export function changesOf(patch: Document): Change[] {
  return [...leavesOf(patch)].map(([path, after]) => (after === null ? { path } : { path, after }))
}

export function shown(value: Json | undefined): string {
  return value === undefined ? '–' : JSON.stringify(value)
}

function leavesOf(document: Document, path = ''): Map<string, Json> {
  const leaves = new Map<string, Json>()
  for (const [name, value] of Object.entries(document)) {
    const place = path ? `${path}.${name}` : name
    if (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.keys(value).length > 0) {
      for (const [inner, leaf] of leavesOf(value, place)) leaves.set(inner, leaf)
    } else leaves.set(place, value)
  }
  return leaves
}

function same(a: Json, b: Json): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
