"""Who may do what, written by hand from the contract. Nothing here was ever recorded from a running hub.

All that is asked for stands in organization A, in its first home, unless a row says otherwise:

| column | who calls |
|---|---|
| anon | nobody |
| dev, fdev | a device in that home; a device of organization B |
| view, edit, own | viewer, editor, owner in A |
| tech, idle | a technician of A assigned to that home; one assigned to another home of A |
| staff, admin | those whose reach is everywhere |
| fown | the owner of organization B |

`ok` is a 2xx or a redirect, and what a list is about is in the answer; `none` is a 200 in which it is not. A number is
the status: 401 not signed in (a device is nobody at the users' endpoints, and the other way round), 403 without the
scope there, 404 for what one may not see, 409 and 422 for those who were let in and whose request, for want of
something better, is one that nobody is granted. The sockets' close codes 4401, 4403, 4404 are told the same way.

A row may have words in brackets behind it: the same endpoint, asked for something else.
"""

CALLERS = ("anon", "dev", "fdev", "view", "edit", "own", "tech", "idle", "staff", "admin", "fown")

HTTP = """
                                                           anon dev  fdev view edit own  tech idle staff admin fown

# Open to everybody
GET /                                                      ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /app                                                   ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /app/{path:path}                                       ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /docs                                                  ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /docs/{name}                                           ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /redoc                                                 ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /openapi.json                                          ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /health                                                ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /healthz                                               ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /readyz                                                ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok

# Signing in. No provider is set up, so that nobody finds one
POST /auth/register                                        ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/login                                           ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/refresh                                         401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/logout                                          401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/password/forgot                                 ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/password/reset                                  ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /auth/providers                                        ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /auth/oidc/start                                       404  404  404  404  404  404  404  404  404   404   404
GET /auth/oidc/callback                                    404  404  404  404  404  404  404  404  404   404   404
POST /auth/login/passkey/options                           ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/login/passkey                                   422  422  422  422  422  422  422  422  422   422   422

# One's own account
GET /auth/me                                               401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /users/me                                              401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
PATCH /users/me                                            401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
PATCH /users/me (a role)                                   401  401  401  422  422  422  422  422  422   422   422
POST /auth/password                                        401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /auth/sessions                                         401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /auth/sessions (of somebody else)                      401  401  401  none none none none none none  none  none
POST /auth/sessions/end-others                             401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/sessions/end-all                                401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
DELETE /auth/sessions/{session_id}                         401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
DELETE /auth/sessions/{session_id} (of somebody else)      401  401  401  404  404  404  404  404  404   404   404
GET /auth/api-tokens                                       401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /auth/api-tokens (of somebody else)                    401  401  401  none none none none none none  none  none
POST /auth/api-tokens                                      401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/api-tokens (with every scope)                   401  401  401  403  403  403  403  403  403   ok    403
DELETE /auth/api-tokens/{token_id}                         401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
DELETE /auth/api-tokens/{token_id} (of somebody else)      401  401  401  404  404  404  404  404  404   404   404
GET /auth/totp                                             401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/totp/setup                                      401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/totp/confirm                                    401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/totp/recovery-codes                             401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
DELETE /auth/totp                                          401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /auth/passkeys                                         401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/passkeys/options                                401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/passkeys                                        401  401  401  422  422  422  422  422  422   422   422
DELETE /auth/passkeys/{passkey_id}                         401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
DELETE /auth/passkeys/{passkey_id} (of somebody else)      401  401  401  404  404  404  404  404  404   404   404
GET /auth/external-identities                              401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
POST /auth/oidc/link                                       401  401  401  404  404  404  404  404  404   404   404
DELETE /auth/external-identities/{identity_id}             401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
DELETE /auth/external-identities/{identity_id} (another's) 401  401  401  404  404  404  404  404  404   404   404

# Organizations, members, invitations
GET /organizations                                         401  401  401  ok   ok   ok   ok   ok   ok    ok    none
POST /organizations                                        401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /organizations/{organization_id}                       401  401  401  ok   ok   ok   ok   ok   ok    ok    404
PATCH /organizations/{organization_id}                     401  401  401  403  403  ok   403  403  403   ok    404
DELETE /organizations/{organization_id}                    401  401  401  403  403  ok   403  403  403   ok    404
POST /organizations/{organization_id}/leave                401  401  401  ok   ok   409  ok   ok   404   404   404
GET /organizations/{organization_id}/members               401  401  401  ok   ok   ok   403  403  ok    ok    404
PATCH /organizations/{organization_id}/members/{user_id}   401  401  401  403  ok   ok   403  403  403   ok    404
PATCH /organizations/{organization_id}/members/{user_id} (to owner) 401 401 401 403 403 ok 403 403 403   ok    404
PATCH /organizations/{organization_id}/members/{user_id} (an owner) 401 401 401 403 403 ok 403 403 403   ok    404
DELETE /organizations/{organization_id}/members/{user_id}  401  401  401  403  ok   ok   403  403  403   ok    404
GET /organizations/{organization_id}/invitations           401  401  401  403  ok   ok   403  403  403   ok    404
POST /organizations/{organization_id}/invitations          401  401  401  403  ok   ok   403  403  403   ok    404
POST /organizations/{organization_id}/invitations (as owner) 401 401 401 403  403  ok   403  403  403   ok    404
DELETE /organizations/{organization_id}/invitations/{invitation_id} 401 401 401 403 ok ok 403 403 403   ok    404
POST /invitations/preview                                  ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
POST /invitations/accept                                   ok   401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /organizations/{organization_id}/audit                 401  401  401  403  403  ok   403  403  ok    ok    404
GET /organizations/{organization_id}/audit/export          401  401  401  403  403  ok   403  403  ok    ok    404

# Users: the one that is asked for is a viewer in A
GET /users                                                 401  401  401  ok   ok   ok   403  403  ok    ok    none
POST /users                                                401  401  401  403  ok   ok   403  403  403   ok    404
POST /users (as owner)                                     401  401  401  403  403  ok   403  403  403   ok    404
GET /users/{user_id}                                       401  401  401  ok   ok   ok   403  403  ok    ok    404
PATCH /users/{user_id}                                     401  401  401  403  ok   ok   403  403  403   ok    404
PATCH /users/{user_id} (an owner)                          401  401  401  403  403  ok   403  403  403   ok    404
DELETE /users/{user_id}                                    401  401  401  403  ok   ok   403  403  403   ok    404
DELETE /users/{user_id} (an owner)                         401  401  401  403  403  ok   403  403  403   ok    404
POST /users/{user_id}/password-reset                       401  401  401  403  ok   ok   403  403  403   ok    404
POST /users/{user_id}/password-reset (an owner)            401  401  401  403  403  ok   403  403  403   ok    404
GET /admin/users                                           401  401  401  403  403  403  403  403  403   ok    403
POST /admin/users                                          401  401  401  403  403  403  403  403  403   ok    403
GET /admin/users/{user_id}                                 401  401  401  403  403  403  403  403  403   ok    403
PATCH /admin/users/{user_id}                               401  401  401  403  403  403  403  403  403   ok    403
DELETE /admin/users/{user_id}                              401  401  401  403  403  403  403  403  403   ok    403

# Places
GET /homes                                                 401  401  401  ok   ok   ok   403  403  ok    ok    none
POST /homes                                                401  401  401  403  ok   ok   403  403  403   ok    404
GET /homes/{home_id}                                       401  401  401  ok   ok   ok   403  403  ok    ok    404
PATCH /homes/{home_id}                                     401  401  401  403  ok   ok   403  403  403   ok    404
DELETE /homes/{home_id}                                    401  401  401  403  ok   ok   403  403  403   ok    404
POST /homes/{home_id}/transfer                             401  401  401  403  403  ok   403  403  403   ok    404
GET /homes/{home_id}/rooms                                 401  401  401  ok   ok   ok   403  403  ok    ok    404
POST /homes/{home_id}/rooms                                401  401  401  403  ok   ok   403  403  403   ok    404
GET /homes/{home_id}/rooms/{room_id}                       401  401  401  ok   ok   ok   403  403  ok    ok    404
PATCH /homes/{home_id}/rooms/{room_id}                     401  401  401  403  ok   ok   403  403  403   ok    404
DELETE /homes/{home_id}/rooms/{room_id}                    401  401  401  403  ok   ok   403  403  403   ok    404
GET /homes/{home_id}/residents                             401  401  401  ok   ok   ok   403  403  ok    ok    404
POST /homes/{home_id}/residents                            401  401  401  403  ok   ok   403  403  403   ok    404
GET /residents                                             401  401  401  ok   ok   ok   403  403  ok    ok    none
POST /residents                                            401  401  401  403  ok   ok   403  403  403   ok    404
GET /residents/{resident_id}                               401  401  401  ok   ok   ok   403  403  ok    ok    404
PATCH /residents/{resident_id}                             401  401  401  403  ok   ok   403  403  403   ok    404
DELETE /residents/{resident_id}                            401  401  401  403  ok   ok   403  403  403   ok    404
GET /residents/{resident_id}/events                        401  401  401  ok   ok   ok   403  403  ok    ok    404
POST /residents/{resident_id}/events                       401  401  401  403  ok   ok   403  403  403   ok    404
GET /assignments                                           401  401  401  none none none ok   none none  none  none
GET /assignments (of the home)                             401  401  401  ok   ok   ok   ok   none ok    ok    none
POST /assignments                                          401  401  401  403  ok   ok   403  403  403   ok    404
DELETE /assignments/{assignment_id}                        401  401  401  403  ok   ok   403  403  403   ok    404
GET /admin/homes                                           401  401  401  403  403  403  403  403  403   ok    403
POST /admin/homes                                          401  401  401  403  403  403  403  403  403   ok    403
PATCH /admin/homes/{home_id}                               401  401  401  403  403  403  403  403  403   ok    403
DELETE /admin/homes/{home_id}                              401  401  401  403  403  403  403  403  403   ok    403

# Devices
POST /devices/hello                                        ok   ok   403  401  401  401  401  401  401   401   401
POST /pairing/start                                        401  401  401  403  ok   ok   ok   404  403   ok    404
POST /pairing/confirm                                      ok   ok   ok   ok   ok   ok   ok   ok   ok    ok    ok
GET /devices/whoami                                        401  ok   ok   401  401  401  401  401  401   401   401
GET /devices                                               401  401  401  ok   ok   ok   ok   none ok    ok    none
POST /devices                                              401  401  401  403  ok   ok   ok   404  403   ok    404
GET /devices/{device_id}                                   401  401  401  ok   ok   ok   ok   404  ok    ok    404
PUT /devices/{device_id}                                   401  401  401  403  ok   ok   ok   404  403   ok    404
PATCH /devices/{device_id}                                 401  401  401  403  ok   ok   ok   404  403   ok    404
DELETE /devices/{device_id}                                401  401  401  403  ok   ok   ok   404  403   ok    404
POST /devices/{device_id}/token                            401  401  401  403  ok   ok   ok   404  403   ok    404
DELETE /devices/{device_id}/token                          401  401  401  403  ok   ok   ok   404  403   ok    404
POST /devices/{device_id}/transfer                         401  401  401  403  403  ok   403  403  403   ok    404
POST /devices/{device_id}/heartbeat                        401  ok   404  403  ok   ok   ok   404  403   ok    404
GET /devices/{device_id}/status                            401  ok   404  ok   ok   ok   ok   404  ok    ok    404
POST /devices/{device_id}/status                           401  ok   404  401  401  401  401  401  401   401   401
GET /devices/{device_id}/logs                              401  ok   404  ok   ok   ok   ok   404  ok    ok    404
POST /devices/{device_id}/logs                             401  ok   404  401  401  401  401  401  401   401   401
GET /devices/{device_id}/health                            401  ok   404  ok   ok   ok   ok   404  ok    ok    404
GET /devices/{device_id}/shadow                            401  ok   404  ok   ok   ok   ok   404  ok    ok    404
PUT /devices/{device_id}/shadow                            401  ok   404  403  ok   ok   ok   404  403   ok    404
PATCH /devices/{device_id}/shadow                          401  ok   404  403  ok   ok   ok   404  403   ok    404
GET /devices/{device_id}/shadow/changes                    401  ok   404  ok   ok   ok   ok   404  ok    ok    404

# Work for devices, of which a viewer hears nothing
POST /tasks/context/heartbeat                              401  ok   ok   401  401  401  401  401  401   401   401
POST /tasks/poll                                           401  ok   ok   401  401  401  401  401  401   401   401
POST /tasks/{task_id}/complete                             401  ok   404  401  401  401  401  401  401   401   401
POST /tasks/{task_id}/progress                             401  ok   404  401  401  401  401  401  401   401   401
POST /tasks/{task_id}/extend                               401  ok   404  401  401  401  401  401  401   401   401
GET /tasks                                                 401  401  401  403  ok   ok   ok   none ok    ok    none
GET /tasks/{task_id}                                       401  401  401  403  ok   ok   ok   404  ok    ok    404
GET /devices/{device_id}/tasks                             401  401  401  403  ok   ok   ok   404  ok    ok    404
POST /devices/{device_id}/tasks                            401  401  401  403  ok   ok   ok   404  403   ok    404
POST /devices/{device_id}/tasks/{task_id}/cancel           401  401  401  403  ok   ok   ok   404  403   ok    404
GET /devices/{device_id}/task-contexts                     401  401  401  403  ok   ok   ok   404  ok    ok    404
GET /devices/{device_id}/commands                          401  ok   404  403  ok   ok   ok   404  ok    ok    404
POST /devices/{device_id}/commands                         401  401  401  403  ok   ok   ok   404  403   ok    404
PUT /devices/{device_id}/commands/{cmd_id}                 401  ok   404  401  401  401  401  401  401   401   401
GET /tasks/bulk                                            401  401  401  403  ok   ok   ok   none ok    ok    none
POST /tasks/bulk                                           401  401  401  403  ok   ok   ok   404  403   ok    404
GET /tasks/bulk/{bulk_id}                                  401  401  401  403  ok   ok   ok   404  ok    ok    404
POST /tasks/bulk/{bulk_id}/cancel                          401  401  401  403  ok   ok   ok   404  403   ok    404

# Telemetry
POST /telemetry                                            401  ok   ok   401  401  401  401  401  401   401   401
POST /events                                               401  ok   ok   401  401  401  401  401  401   401   401
POST /devices/{device_id}/readings                         401  ok   404  401  401  401  401  401  401   401   401
GET /telemetry/recent                                      401  ok   none 401  401  401  401  401  401   401   401
GET /devices/{device_id}/telemetry/recent                  401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /devices/{device_id}/readings                          401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /devices/{device_id}/readings/latest                   401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /devices/{device_id}/readings/stats                    401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /telemetry                                             401  401  401  ok   ok   ok   ok   none ok    ok    none
GET /telemetry (of the device)                             401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /events                                                401  401  401  ok   ok   ok   ok   none ok    ok    none
GET /events (of the device)                                401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /events/{event_id}                                     401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /analytics/trends                                      401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /analytics/trends (of the device)                      401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /analytics/summary                                     401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /analytics/summary (of the device)                     401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /analytics/export                                      401  401  401  ok   ok   ok   ok   ok   ok    ok    ok
GET /analytics/export (of the device)                      401  401  401  ok   ok   ok   ok   404  ok    ok    404
POST /analytics/import                                     401  401  401  403  ok   ok   ok   ok   403   ok    ok

# How long telemetry is kept; what counts for the whole hub is for its administrators
GET /retention-policies                                    401  401  401  403  403  ok   403  403  ok    ok    none
POST /retention-policies                                   401  401  401  403  403  ok   403  403  403   ok    404
POST /retention-policies (of the hub)                      401  401  401  403  403  403  403  403  403   ok    403
GET /retention-policies/effective                          401  401  401  ok   ok   ok   ok   404  ok    ok    404
GET /retention-policies/{policy_id}                        401  401  401  403  403  ok   403  403  ok    ok    404
PATCH /retention-policies/{policy_id}                      401  401  401  403  403  ok   403  403  403   ok    404
DELETE /retention-policies/{policy_id}                     401  401  401  403  403  ok   403  403  403   ok    404

# Bridges to other brokers, for owners
GET /bridges                                               401  401  401  403  403  ok   403  403  ok    ok    none
POST /bridges                                              401  401  401  403  403  ok   403  403  403   ok    404
POST /bridges/try                                          401  401  401  403  403  ok   403  403  403   ok    ok
GET /bridges/{bridge_id}                                   401  401  401  403  403  ok   403  403  ok    ok    404
PATCH /bridges/{bridge_id}                                 401  401  401  403  403  ok   403  403  403   ok    404
DELETE /bridges/{bridge_id}                                401  401  401  403  403  ok   403  403  403   ok    404

# Live, narrowed to the device
WS /ws/live-data                                           401  401  401  ok   ok   ok   ok   404  ok    ok    404
WS /ws/device-status                                       401  401  401  ok   ok   ok   ok   404  ok    ok    404
WS /ws/device-shadow                                       401  401  401  ok   ok   ok   ok   404  ok    ok    404
WS /ws/device-logs                                         401  401  401  ok   ok   ok   ok   404  ok    ok    404
WS /ws/tasks                                               401  401  401  403  ok   ok   ok   404  ok    ok    404
WS /mqtt                                                   401  ok   ok   ok   ok   ok   ok   ok   ok    ok    ok

# Operations, with ROOST_SYSTEM_PUBLIC=false
GET /system/health                                         401  401  401  ok   ok   ok   403  403  ok    ok    ok
GET /system/temp                                           401  401  401  ok   ok   ok   403  403  ok    ok    ok
GET /system/metrics                                        401  401  401  ok   ok   ok   403  403  ok    ok    ok
GET /system/version                                        401  401  401  ok   ok   ok   403  403  ok    ok    ok
GET /metrics                                               401  401  401  403  403  403  403  403  ok    ok    403
GET /ops/overview                                          401  401  401  403  403  403  403  403  ok    ok    403
GET /ops/houses                                            401  401  401  403  403  403  403  403  ok    ok    403
GET /ops/audit                                             401  401  401  403  403  403  403  403  ok    ok    403
GET /ops/audit/export                                      401  401  401  403  403  403  403  403  ok    ok    403
"""

MQTT = """
                                                           anon dev  fdev view edit own  tech idle staff admin fown
PUBLISH devices/{device_id}/telemetry                      401  ok   403  403  403  403  403  403  403   403   403
PUBLISH devices/{device_id}/events                         401  ok   403  403  403  403  403  403  403   403   403
PUBLISH devices/{device_id}/readings                       401  ok   403  403  403  403  403  403  403   403   403
PUBLISH devices/{device_id}/status                         401  ok   403  403  403  403  403  403  403   403   403
PUBLISH devices/{device_id}/logs                           401  ok   403  403  403  403  403  403  403   403   403
PUBLISH devices/{device_id}/shadow/reported                401  ok   403  403  403  403  403  403  403   403   403
PUBLISH devices/{device_id}/tasks/{held_task_id}/progress  401  ok   403  403  403  403  403  403  403   403   403
PUBLISH devices/{device_id}/tasks/{done_task_id}/complete  401  ok   403  403  403  403  403  403  403   403   403
SUBSCRIBE devices/{device_id}/tasks                        401  ok   403  403  403  403  403  403  403   403   403
SUBSCRIBE devices/{device_id}/shadow/delta                 401  ok   403  403  403  403  403  403  403   403   403
SUBSCRIBE devices/{device_id}/telemetry                    401  403  403  ok   ok   ok   ok   403  ok    ok    403
SUBSCRIBE devices/{device_id}/events                       401  403  403  ok   ok   ok   ok   403  ok    ok    403
SUBSCRIBE devices/{device_id}/readings                     401  403  403  ok   ok   ok   ok   403  ok    ok    403
SUBSCRIBE devices/{device_id}/status                       401  403  403  ok   ok   ok   ok   403  ok    ok    403
SUBSCRIBE devices/{device_id}/#                            401  403  403  ok   ok   ok   ok   403  ok    ok    403
SUBSCRIBE devices/+/telemetry                              401  403  403  ok   ok   ok   ok   ok   ok    ok    ok
SUBSCRIBE devices/#                                        401  403  403  ok   ok   ok   ok   ok   ok    ok    ok
SUBSCRIBE #                                                401  403  403  ok   ok   ok   ok   ok   ok    ok    ok
SUBSCRIBE $SYS/#                                           401  403  403  403  403  403  403  403  403   403   403
"""


def rows(table: str) -> dict[str, dict[str, str]]:
    """Label → caller → expected cell."""
    found: dict[str, dict[str, str]] = {}
    for line in table.splitlines()[2:]:
        if not line.strip() or line.startswith("#"):
            continue
        words = line.split()
        name, cells = " ".join(words[: -len(CALLERS)]), words[-len(CALLERS) :]
        assert name not in found, f"Two rows for {name}."
        found[name] = dict(zip(CALLERS, cells, strict=True))
    return found


def endpoint_of(label: str) -> str:
    """The endpoint that a row is about: its label without the words in brackets."""
    return label.partition(" (")[0]
