/** The rules a password must meet, as far as a page can check them; the hub knows the breached ones. Pure. */
export interface Rule {
  text: string
  met: boolean
}

export const SHORTEST_PASSWORD = 8

export function passwordRules(password: string, email: string): Rule[] {
  const lower = password.toLowerCase()
  const [local = ''] = email.toLowerCase().split('@')
  return [
    { text: 'At least 8 characters', met: [...password].length >= SHORTEST_PASSWORD },
    {
      text: 'Not your e-mail address',
      met: password.length > 0 && lower !== email.trim().toLowerCase() && (local.length < 4 || lower !== local),
    },
    { text: 'Not a single character repeated', met: new Set(lower).size > 1 },
  ]
}
