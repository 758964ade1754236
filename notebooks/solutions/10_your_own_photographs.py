# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 10 Exercises: your own photographs
#
# Back to the lecture: [10_your_own_photographs](../10_your_own_photographs.ipynb).
#
# A split that survives renaming, and what an alarm means when defects are rare.

# %%
from rcae_lite.exercises import check

# %% [markdown]
# ## 1 · `10.precision` (medium)
#
# A detector with a false-alarm rate of 5% finds 90% of the defects; one part in 500 is defective.
# Which share of its alarms is right? Write the function, then put these numbers in.


# %%
def precision(false_alarm_rate, detection_rate, defect_share):
    """Share of the alarms that are right."""
    ### BEGIN SOLUTION
    hits = detection_rate * defect_share
    false_alarms = false_alarm_rate * (1 - defect_share)
    return hits / (hits + false_alarms)
    ### END SOLUTION


# %%
check("10.precision", precision)

# %% [markdown]
# ## 2 · `10.split` (hard)
#
# Divide images into training and test. You get a hash of the *content* of each image (a hexadecimal
# digest). The choice must not change when files are renamed or sorted otherwise, and copies of one
# image must stay on one side. About `share` of the images are tested.


# %%
def is_test(digests, share):
    """True for each image that is tested: list of str to list of bool."""
    ### BEGIN SOLUTION
    different = sorted(set(digests))
    chosen = set(different[: round(share * len(different))])
    return [digest in chosen for digest in digests]
    ### END SOLUTION


# %%
check("10.split", is_test)

# %% [markdown]
# ## 3 · Open question
#
# All your normal photographs were taken on Monday morning, all defective ones on Friday evening.
# The detector separates them perfectly. What has it learned, and how would you find out?

# %% [markdown]
# <!-- BEGIN SOLUTION -->
# Possibly the light of the evening. Look at the maps: do they mark the defect, or the background?
# Score normal parts photographed on Friday; they should lie below the threshold. Next time, take
# both kinds in the same session, in mixed order.
# <!-- END SOLUTION -->
