"""How often the findings are wrong, and how often they come: measured on runs really trained."""
