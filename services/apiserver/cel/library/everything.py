"""All functions together. Loaded with the first expression that is compiled: most servers never see one."""

from services.apiserver.cel.functions import Library
from services.apiserver.cel.library.access import ACCESS
from services.apiserver.cel.library.addresses import ADDRESSES
from services.apiserver.cel.library.formats import FORMATS
from services.apiserver.cel.library.lists import LISTS
from services.apiserver.cel.library.more_lists import MORE_LISTS
from services.apiserver.cel.library.quantities import QUANTITIES
from services.apiserver.cel.library.standard import STANDARD
from services.apiserver.cel.library.strings import STRINGS
from services.apiserver.cel.library.urls import URLS
from services.apiserver.cel.operators import OPERATORS

ALL = Library(OPERATORS, STANDARD, STRINGS, LISTS, MORE_LISTS, URLS, QUANTITIES, ADDRESSES, FORMATS, ACCESS)

__all__ = ["ALL"]
