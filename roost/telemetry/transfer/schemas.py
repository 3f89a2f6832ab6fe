"""What crosses the wire when a file comes in."""

from pydantic import BaseModel, Field


class RefusedLine(BaseModel):
    line: int = Field(description="Its number in the body, from 1.")
    detail: str


class ImportOut(BaseModel):
    """What became of the lines."""

    stored: int = Field(description="Readings and events that are new, and on disk.")
    known: int = Field(description="Those that were there before, or twice in the body.")
    refused: list[RefusedLine] = Field(description="Those that were not taken; the others were.")
