"""People as those see and change them who may: profiles, and the administration of users."""
