"""Every table of the application in one metadata: importing this imports the models of all rooms."""

import roost.access.audit.models
import roost.access.credentials.models
import roost.access.models
import roost.access.organizations.models
import roost.bridges.models
import roost.core.idempotency
import roost.core.outbox
import roost.devices.models
import roost.devices.shadow.models
import roost.ops.models
import roost.places.models
import roost.tasks.models
import roost.telemetry.retention.models
import roost.telemetry.transfer.models  # noqa: F401 - imported for its tables, as the others
from roost.core.database import Base

metadata = Base.metadata
