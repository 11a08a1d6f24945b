"""energy_by of domain/transaction.py in Lua: for scripts that find the figures in the record."""

from csms.domain.metering import REGISTER_MAX_WH

# Stands before a script's own text. Its second value: whether the meter ran backwards.
ENERGY_BY = f"""
    local function energy_by(start, register, reckoned)
      if start < 0 or start > {REGISTER_MAX_WH} then return nil, false end
      if register < start or register > {REGISTER_MAX_WH} then return reckoned, true end
      return register - start, false
    end
"""
