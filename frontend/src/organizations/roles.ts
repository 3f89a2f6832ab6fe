/** What the pages know of roles: enough to hide a button that the hub would refuse. The hub decides. */
import { session } from '@/api/session'

export type MemberRole = 'viewer' | 'editor' | 'owner' | 'technician'

export const MEMBER_ROLES: readonly { value: MemberRole; label: string; does: string }[] = [
  { value: 'viewer', label: 'Viewer', does: 'Sees everything, changes nothing.' },
  { value: 'editor', label: 'Editor', does: 'Changes devices, homes and people.' },
  { value: 'owner', label: 'Owner', does: 'Everything, the organization itself included.' },
  { value: 'technician', label: 'Technician', does: 'Works on devices in assigned homes only.' },
]

const EVERYBODY: readonly string[] = ['viewer', 'editor', 'owner']
const WRITERS: readonly string[] = ['editor', 'owner']
const HOLDERS: Record<string, readonly string[]> = {
  'users:read': EVERYBODY,
  'users:write': WRITERS,
  'homes:read': EVERYBODY,
  'homes:write': WRITERS,
  'devices:write': [...WRITERS, 'technician'],
  'organization:read': ['owner'],
  'organization:write': ['owner'],
}

export type Scope = keyof typeof HOLDERS

export const roleLabel = (role: string): string => role.charAt(0).toUpperCase() + role.slice(1)

/** Whether this account may do something in one organization. */
export function mayIn(scope: string, organizationId: number | null | undefined): boolean {
  const me = session.me
  if (!me) return false
  if (me.roles.includes('admin')) return true
  if (me.roles.includes('staff') && scope.endsWith(':read')) return true
  const role = me.organizations.find(({ id }) => id === organizationId)?.role
  return role !== undefined && (HOLDERS[scope]?.includes(role) ?? false)
}

/** The roles that this account may give in one organization. */
export function rolesToGive(organizationId: number | null | undefined): typeof MEMBER_ROLES {
  if (mayIn('organization:write', organizationId)) return MEMBER_ROLES
  return mayIn('users:write', organizationId) ? MEMBER_ROLES.filter(({ value }) => value !== 'owner') : []
}
