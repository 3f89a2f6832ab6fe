/** Short messages at the edge of the screen. */
import { reactive } from 'vue'

export interface Toast {
  id: number
  tone: 'good' | 'bad'
  text: string
}

const GOOD_MS = 4_000
const BAD_MS = 9_000

export const toasts = reactive<Toast[]>([])
let lastId = 0

function show(tone: Toast['tone'], text: string): void {
  const known = toasts.find((other) => other.text === text)
  if (known) return
  const id = (lastId += 1)
  toasts.push({ id, tone, text })
  if (toasts.length > 4) toasts.shift()
  setTimeout(() => dismiss(id), tone === 'good' ? GOOD_MS : BAD_MS)
}

export function dismiss(id: number): void {
  const at = toasts.findIndex((toast) => toast.id === id)
  if (at >= 0) toasts.splice(at, 1)
}

export const toast = {
  good: (text: string) => show('good', text),
  bad: (text: string) => show('bad', text),
}
