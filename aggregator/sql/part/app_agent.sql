-- Agents that an app's network stack makes from the app's name, which may be called anything (`Spider Solitaire`): no list is asked.
(startsWith(lower(agent), 'dalvik/') OR position(lower(agent), 'cfnetwork/') > 0)
