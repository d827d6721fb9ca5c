"""What the launcher of the Flex Template runs."""

import sys

from sluice_dataflow.__main__ import main

sys.exit(main())
