"""What people touch in SSMIS Workbench: explorers for notebooks, which draw what `ssmis_core` computes.

Import an explorer from its own module; `import widgets` alone loads no plotting or notebook package.
"""
