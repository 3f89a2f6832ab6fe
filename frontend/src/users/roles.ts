/** Roles that count in every organization; only an administrator gives them. */
export const EVERYWHERE = [
  { value: 'staff', label: 'Staff', does: 'Sees every organization and the whole installation; changes nothing but alerts.' },
  { value: 'admin', label: 'Administrator', does: 'May do everything, everywhere.' },
] as const
