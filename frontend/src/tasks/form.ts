/** What is typed into an order, and what the hub gets of it. Pure. */
import { parseDocument, type Document } from '@/api/documents'
import { fromLocalInput } from '@/time/format'

export interface TaskForm {
  type: string
  payload: string
  notBefore: string
  expiresAt: string
  maxAttempts: string
  priority: string
}

export interface Order {
  type: string
  payload: Document
  not_before?: string
  expires_at?: string
  max_attempts?: number
  priority?: number
}

export const emptyForm = (): TaskForm => ({ type: '', payload: '{}', notBefore: '', expiresAt: '', maxAttempts: '', priority: '' })

/** The order, or null while something in it cannot be read. */
export function orderOf(form: TaskForm): Order | null {
  const payload = parseDocument(form.payload)
  const type = form.type.trim()
  if (typeof payload === 'string' || !type) return null
  const numbers = { max_attempts: form.maxAttempts.trim(), priority: form.priority.trim() }
  if (!Object.values(numbers).every((text) => text === '' || /^-?\d{1,3}$/.test(text))) return null
  return {
    type,
    payload,
    ...(form.notBefore ? { not_before: momentOf(form.notBefore) } : {}),
    ...(form.expiresAt ? { expires_at: momentOf(form.expiresAt) } : {}),
    ...(numbers.max_attempts ? { max_attempts: Number(numbers.max_attempts) } : {}),
    ...(numbers.priority ? { priority: Number(numbers.priority) } : {}),
  }
}

function momentOf(local: string): string {
  return new Date(fromLocalInput(local) * 1_000).toISOString()
}
